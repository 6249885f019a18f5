//! The closed lists of what is counted apart, each word a label.

/// Why a connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rejection {
    /// The listener has as many as it may.
    ListenerFull,
    /// The process has as many as its descriptors allow.
    ProcessFull,
    /// The client's address has as many as it may.
    AddressFull,
    /// The PROXY header was missing, wrong or from a peer that may not send one.
    ProxyHeader,
}

/// How a backend failed a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamError {
    /// It refused the connection.
    ConnectRefused,
    /// It did not accept the connection in time.
    ConnectTimeout,
    /// No connection for another reason: unreachable, no such name, no descriptors.
    ConnectOther,
    /// No TLS session: it is not who it should be, or does not accept who we are.
    Tls,
    /// The request could not be written.
    Send,
    /// It closed the connection before it answered.
    ClosedBeforeHead,
    /// It did not answer in time.
    HeadTimeout,
    /// It answered with something that is not HTTP, or ambiguously framed.
    BadResponse,
    /// The response's body broke off.
    BodyCut,
    /// It answered with a status that the pool counts as a failure.
    Status,
}

/// What became of a snapshot of a session table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotEnd {
    /// It is on the disk.
    Written,
    /// It could not be written; the one before stays.
    Failed,
    /// It was read at the start.
    Restored,
    /// What was to be read is not whole, or not ours; it was set aside.
    Corrupt,
}

impl Rejection {
    /// Every reason, in declaration order.
    pub const ALL: [Self; 4] = [Self::ListenerFull, Self::ProcessFull, Self::AddressFull, Self::ProxyHeader];

    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ListenerFull => "listener_full",
            Self::ProcessFull => "process_full",
            Self::AddressFull => "address_full",
            Self::ProxyHeader => "proxy_header",
        }
    }
}

impl UpstreamError {
    /// Every way, in declaration order.
    pub const ALL: [Self; 10] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectOther,
        Self::Tls,
        Self::Send,
        Self::ClosedBeforeHead,
        Self::HeadTimeout,
        Self::BadResponse,
        Self::BodyCut,
        Self::Status,
    ];

    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConnectRefused => "connect_refused",
            Self::ConnectTimeout => "connect_timeout",
            Self::ConnectOther => "connect_other",
            Self::Tls => "tls",
            Self::Send => "send",
            Self::ClosedBeforeHead => "closed_before_head",
            Self::HeadTimeout => "head_timeout",
            Self::BadResponse => "bad_response",
            Self::BodyCut => "body_cut",
            Self::Status => "status",
        }
    }
}

impl SnapshotEnd {
    /// Every end, in declaration order.
    pub const ALL: [Self; 4] = [Self::Written, Self::Failed, Self::Restored, Self::Corrupt];

    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Written => "written",
            Self::Failed => "failed",
            Self::Restored => "restored",
            Self::Corrupt => "corrupt",
        }
    }
}
