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

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandshakeEnd {
    /// Done, by TLS 1.2.
    Full12,
    /// Done by taking up an earlier session, by TLS 1.2.
    Resumed12,
    /// Done, by TLS 1.3.
    Full13,
    /// Done by taking up an earlier session, by TLS 1.3.
    Resumed13,
    /// It did not come to an end in time.
    Timeout,
    /// The client closed on the way.
    Closed,
    /// The client does not speak TLS.
    NotTls,
    /// The client asked for a name that no certificate has.
    UnknownName,
    /// There is no version, cipher or protocol that both speak.
    Incompatible,
    /// The client showed no certificate and must.
    NoCertificate,
    /// The client showed a certificate that is not good.
    BadCertificate,
    /// The client refused, by an alert: most often our certificate.
    Refused,
    /// The client broke the protocol.
    Malformed,
}

/// What a client did to an HTTP/2 connection, or a stream of one, that was ended for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abuse {
    /// It reset too many streams whose answer was not over (CVE-2023-44487).
    Resets,
    /// It made us reset too many by what it did wrong on them (CVE-2025-8671).
    Provoked,
    /// It opened too many streams beyond those that it may have.
    Refused,
    /// A header block in too many pieces (CVE-2024-27316).
    Continuation,
    /// A header block too large as it is on the wire.
    HeaderBlock,
    /// A header block far too large once decoded.
    HeaderList,
    /// Too many SETTINGS.
    Settings,
    /// Too many PING.
    Ping,
    /// Too many PRIORITY.
    Priority,
    /// More WINDOW_UPDATE than what it was sent accounts for.
    WindowUpdate,
    /// Too many DATA frames with nothing in them.
    EmptyData,
    /// Too many frames of other kinds.
    Unknown,
    /// The preface, a header block or a small frame did not come to its end.
    SlowHead,
    /// A DATA frame did not come to its end.
    SlowData,
    /// It did not read what it was sent.
    NotRead,
    /// It gave a stream no window for what it asked for.
    ZeroWindow,
}

/// What a client did wrong over HTTP/2, by the code that a stream or its connection was ended with (RFC 9113 section 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum H2Error {
    /// A malformed request, or a frame that may not come there.
    Protocol,
    /// It sent more than there was room for, or opened a window over its bound.
    FlowControl,
    /// It went on with a stream that was over.
    StreamClosed,
    /// A frame of a size that its kind may not have.
    FrameSize,
    /// It opened more streams at once than it may.
    RefusedStream,
    /// A header block that cannot be decoded.
    Compression,
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
    /// Its connections of HTTP/2 allow no streams.
    NoStreams,
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

impl HandshakeEnd {
    /// Every end, in declaration order.
    pub const ALL: [Self; 13] = [
        Self::Full12,
        Self::Resumed12,
        Self::Full13,
        Self::Resumed13,
        Self::Timeout,
        Self::Closed,
        Self::NotTls,
        Self::UnknownName,
        Self::Incompatible,
        Self::NoCertificate,
        Self::BadCertificate,
        Self::Refused,
        Self::Malformed,
    ];

    /// As labels: the version, which is known of what was done, and the result.
    #[must_use]
    pub const fn labels(self) -> (&'static str, &'static str) {
        match self {
            Self::Full12 => ("1.2", "ok"),
            Self::Resumed12 => ("1.2", "resumed"),
            Self::Full13 => ("1.3", "ok"),
            Self::Resumed13 => ("1.3", "resumed"),
            Self::Timeout => ("", "timeout"),
            Self::Closed => ("", "closed"),
            Self::NotTls => ("", "not_tls"),
            Self::UnknownName => ("", "unknown_name"),
            Self::Incompatible => ("", "incompatible"),
            Self::NoCertificate => ("", "no_client_certificate"),
            Self::BadCertificate => ("", "bad_client_certificate"),
            Self::Refused => ("", "refused_by_client"),
            Self::Malformed => ("", "malformed"),
        }
    }
}

impl Abuse {
    /// Every kind, in declaration order.
    pub const ALL: [Self; 16] = [
        Self::Resets,
        Self::Provoked,
        Self::Refused,
        Self::Continuation,
        Self::HeaderBlock,
        Self::HeaderList,
        Self::Settings,
        Self::Ping,
        Self::Priority,
        Self::WindowUpdate,
        Self::EmptyData,
        Self::Unknown,
        Self::SlowHead,
        Self::SlowData,
        Self::NotRead,
        Self::ZeroWindow,
    ];

    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::Provoked => "provoked",
            Self::Refused => "refused",
            Self::Continuation => "continuation",
            Self::HeaderBlock => "header_block",
            Self::HeaderList => "header_list",
            Self::Settings => "settings",
            Self::Ping => "ping",
            Self::Priority => "priority",
            Self::WindowUpdate => "window_update",
            Self::EmptyData => "empty_data",
            Self::Unknown => "unknown",
            Self::SlowHead => "slow_head",
            Self::SlowData => "slow_data",
            Self::NotRead => "not_read",
            Self::ZeroWindow => "zero_window",
        }
    }
}

impl H2Error {
    /// Every code, in declaration order.
    pub const ALL: [Self; 6] = [
        Self::Protocol,
        Self::FlowControl,
        Self::StreamClosed,
        Self::FrameSize,
        Self::RefusedStream,
        Self::Compression,
    ];

    /// As a label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol_error",
            Self::FlowControl => "flow_control_error",
            Self::StreamClosed => "stream_closed",
            Self::FrameSize => "frame_size_error",
            Self::RefusedStream => "refused_stream",
            Self::Compression => "compression_error",
        }
    }
}

impl UpstreamError {
    /// Every way, in declaration order.
    pub const ALL: [Self; 11] = [
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectOther,
        Self::Tls,
        Self::NoStreams,
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
            Self::NoStreams => "no_streams",
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
