//! Clients that nobody here wrote: the programs and libraries that people come with, each as it comes.

mod curl;
