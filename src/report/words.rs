//! What the report says, in English and Korean: every sentence that is not made from numbers stands here.

use std::borrow::Cow;

/// The same in both languages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) en: Cow<'static, str>,
    pub(crate) ko: Cow<'static, str>,
}

impl Words {
    pub(crate) const fn of(en: &'static str, ko: &'static str) -> Self {
        Self { en: Cow::Borrowed(en), ko: Cow::Borrowed(ko) }
    }

    pub(crate) fn said(en: impl Into<String>, ko: impl Into<String>) -> Self {
        Self { en: Cow::Owned(en.into()), ko: Cow::Owned(ko.into()) }
    }

    /// A name or a number, which is the same in all languages.
    pub(crate) fn same(text: impl Into<String>) -> Self {
        let text = text.into();
        Self::said(text.clone(), text)
    }

    /// Both with something before them that is the same in all languages.
    pub(crate) fn after(&self, before: &str) -> Self {
        Self::said(format!("{before}{}", self.en), format!("{before}{}", self.ko))
    }
}

pub(crate) const TITLE: Words = Words::of("Session routing, measured", "세션 라우팅 측정 결과");
pub(crate) const SIMULATED: Words = Words::of("Session routing, simulated", "세션 라우팅 시뮬레이션 결과");
pub(crate) const VERDICT: Words = Words::of("The verdict", "결론");
pub(crate) const NOT_RANKED: Words = Words::of(
    "The costs and times of this run are not to be ranked",
    "이번 실행의 비용과 시간으로는 순위를 매길 수 없습니다",
);
pub(crate) const DOUBTS: Words = Words::of("What to keep in mind", "유의할 점");
pub(crate) const COMBINATIONS: Words = Words::of("All combinations", "모든 조합");
pub(crate) const COMBINATION: Words = Words::of("combination", "조합");
pub(crate) const IN_SHORT: Words = Words::of("in short", "요약");
pub(crate) const THEORY: Words = Words::of("theory", "이론값");
pub(crate) const NUMBERS: Words = Words::of("The numbers", "숫자로 보기");
pub(crate) const MORE: Words = Words::of("Show the rest", "나머지 보기");
pub(crate) const SESSIONS_AXIS: Words = Words::of("live sessions", "살아 있는 세션");
pub(crate) const TIME: Words = Words::of("time", "시간");
pub(crate) const SECONDS: Words = Words::of("seconds", "초");
pub(crate) const MINUTES: Words = Words::of("minutes", "분");
pub(crate) const WHAT_WAS_RUN: Words = Words::of("What was run", "실행 조건");
pub(crate) const SKIP: Words = Words::of("Skip to the verdict", "결론으로 건너뛰기");
pub(crate) const SKIP_TO_CHARTS: Words = Words::of("Skip to the charts", "차트로 건너뛰기");
pub(crate) const TABLE_NOTE: Words = Words::of(
    "Grey: the theoretical value where there is one, and z, how many standard deviations the measured value lies from \
     it (beyond ±4 something is wrong). Nothing seen is written as the most that may still be, with 95 %.",
    "회색은 이론값(있을 때)과 z입니다. z는 측정값이 이론값에서 표준편차의 몇 배만큼 떨어졌는지를 뜻하며, ±4를 넘으면 \
     무언가 잘못된 것입니다. 한 번도 나타나지 않은 것은 95 % 신뢰 수준의 상한으로 적었습니다.",
);

/// A section of charts: its title, and how to read it.
pub(crate) struct Section {
    pub(crate) title: Words,
    pub(crate) how: Words,
}

pub(crate) const SESSIONS: Section = Section {
    title: Words::of("Sessions per backend over time", "시간에 따른 백엔드별 세션"),
    how: Words::of(
        "Live sessions, one band per backend. A flag is an event. Bands that stay as uneven after an event as it made \
         them are the price of keeping sessions where they are.",
        "살아 있는 세션 수를 백엔드마다 띠 하나로 그렸습니다. 깃발은 사건입니다. 사건 뒤에도 띠의 두께가 고르지 않다면, \
         세션을 제자리에 두기 위해 치르는 값입니다.",
    ),
};
pub(crate) const TROUBLE: Section = Section {
    title: Words::of("Losses, old states and errors over time", "시간에 따른 손실, 옛 상태, 오류"),
    how: Words::of(
        "A loss: the user is logged out. An old state: the user sees a cart of before, without any error, which is worse. \
         An error: the request failed.",
        "손실은 사용자가 로그아웃되는 것입니다. 옛 상태는 오류 없이 예전 장바구니가 보이는 것으로, 손실보다 나쁩니다. \
         오류는 요청이 실패한 것입니다.",
    ),
};
pub(crate) const PARETO: Section = Section {
    title: Words::of("Loss against cost", "손실과 비용"),
    how: Words::of(
        "Lower left is best. What is ringed and joined by the line is the front: nothing else is better in both ways. \
         Numbers are those of the table.",
        "왼쪽 아래일수록 좋습니다. 고리와 선으로 이은 점이 경계선으로, 두 가지 모두에서 더 나은 조합이 없다는 뜻입니다. \
         번호는 표의 번호입니다.",
    ),
};
pub(crate) const SWEEP: Section = Section {
    title: Words::of("Through a range of settings", "설정값에 따른 변화"),
    how: Words::of(
        "A line per way, from a run for each value of the setting below. Dashed: what theory says, where there is a closed \
         form. Lower is better.",
        "선 하나가 한 가지 방식이며, 아래 설정값마다 한 번씩 실행한 결과입니다. 점선은 닫힌 식이 있을 때의 이론값입니다. \
         낮을수록 좋습니다.",
    ),
};
pub(crate) const SWEEP_MORE: Words = Words::of(
    "There are charts for the first twelve values of the other settings; all figures are in the JSON and the CSV.",
    "다른 설정은 처음 열두 가지 값만 그렸습니다. 모든 수치는 JSON과 CSV에 있습니다.",
);
pub(crate) const MOVES_EACH: Words = Words::of("moves per session", "세션당 이동");
pub(crate) const PARETO_UNRANKED: Words = Words::of(
    "No front is drawn: what is not to be ranked is hollow.",
    "경계선은 그리지 않았습니다. 순위를 매길 수 없는 조합은 속이 빈 점으로 표시했습니다.",
);
pub(crate) const DISRUPTION: Section = Section {
    title: Words::of("Moved, against the least possible", "최소 이동 대비 실제 이동"),
    how: Words::of(
        "1 means that only those sessions moved whose backend went. What is longer moved without need.",
        "1은 백엔드가 사라진 세션만 옮겨졌다는 뜻입니다. 그보다 길면 옮길 필요가 없던 세션까지 옮겨진 것입니다.",
    ),
};
pub(crate) const MATRIX: Section = Section {
    title: Words::of("Who moved from where to where", "누가 어디에서 어디로 옮겨졌나"),
    how: Words::of(
        "Rows: the backend before the event. Columns: the backend after it. On the diagonal are those who stayed.",
        "행은 사건 전의 백엔드, 열은 사건 뒤의 백엔드입니다. 대각선은 그대로 머문 세션입니다.",
    ),
};
pub(crate) const LATENCY: Section = Section {
    title: Words::of("How long answers took", "응답 시간"),
    how: Words::of(
        "The share of requests that were answered within a time, by class: the backend that has the session, one that it \
         moved to, first visits, and requests that were tried again.",
        "주어진 시간 안에 응답을 받은 요청의 비율을 종류별로 그렸습니다. 세션을 가진 백엔드, 세션이 옮겨 간 백엔드, 첫 방문, \
         다시 시도한 요청으로 나눕니다.",
    ),
};
pub(crate) const COSTS: Section = Section {
    title: Words::of("What a request costs", "요청 하나의 비용"),
    how: Words::of(
        "CPU time per request, in microseconds: of the balancer, the application, the store.",
        "요청 하나에 드는 CPU 시간(마이크로초)을 로드밸런서, 애플리케이션, 저장소로 나누었습니다.",
    ),
};
pub(crate) const REVOCATION: Section = Section {
    title: Words::of("How long a logout takes to hold", "로그아웃이 통하기까지 걸리는 시간"),
    how: Words::of(
        "From “log out everywhere” to the last request that was still let in, in seconds. A token that nobody looks up is \
         good until it ends.",
        "“모든 곳에서 로그아웃”한 뒤 마지막으로 받아들여진 요청까지의 시간(초)입니다. 아무도 조회하지 않는 토큰은 만료될 \
         때까지 유효합니다.",
    ),
};
pub(crate) const PROBE: Section = Section {
    title: Words::of("What the balancer does with sessions", "로드밸런서가 세션을 다루는 방식"),
    how: Words::of(
        "Each question was put to the balancer from outside; beside the answer stands how likely chance alone would \
         have looked the same.",
        "각 질문을 로드밸런서 바깥에서 던졌습니다. 답 옆의 값은 우연만으로도 같은 결과가 나올 확률입니다.",
    ),
};
pub(crate) const CHECKS: Section = Section {
    title: Words::of("Theory against measurement", "이론과 측정"),
    how: Words::of(
        "Each point is how many standard deviations a measured value lies from theory. The band is ±4: inside it, \
         chance explains the difference.",
        "점 하나는 측정값이 이론값에서 표준편차의 몇 배만큼 떨어졌는지를 나타냅니다. 띠는 ±4이고, 그 안의 차이는 우연으로 \
         설명됩니다.",
    ),
};

pub(crate) const LESSON: Words = Words::of("What this is about", "무엇에 관한 것인가");
pub(crate) const LESSON_TEXT: [Words; 2] = [
    Words::of(
        "When you log in to a website, a server remembers you: who you are, what is in your cart. That memory is a \
         session; your browser shows a cookie with every click, and by it the server knows you again. With one server \
         that is simple. With several behind a load balancer, your next click may reach a server that has never seen \
         you, and you are logged out.",
        "웹사이트에 로그인하면 서버가 당신을 기억합니다. 누구인지, 장바구니에 무엇이 있는지. 이 기억이 세션이고, 브라우저가 \
         클릭할 때마다 보여 주는 쿠키로 서버는 당신을 다시 알아봅니다. 서버가 하나라면 간단합니다. 하지만 로드밸런서 뒤에 \
         서버가 여럿이면, 다음 클릭이 당신을 한 번도 본 적 없는 서버로 갈 수 있고, 그러면 로그아웃됩니다.",
    ),
    Words::of(
        "There are three ways out. Each costs something else.",
        "해결책은 세 가지이고, 저마다 다른 값을 치릅니다.",
    ),
];

/// One of the three ways to keep sessions: which kinds of stores it is, and what is said of it.
pub(crate) struct Way {
    pub(crate) stores: &'static [&'static str],
    pub(crate) title: Words,
    pub(crate) does: Words,
    pub(crate) costs: Words,
}

pub(crate) const WAYS: [Way; 3] = [
    Way {
        stores: &["memory"],
        title: Words::of("Sticky sessions", "세션 고정"),
        does: Words::of(
            "The balancer sends you to the same server every time (session affinity). That server keeps your session in \
             its own memory.",
            "로드밸런서가 당신을 언제나 같은 서버로 보냅니다(세션 고정). 그 서버가 자기 메모리에 세션을 간직합니다.",
        ),
        costs: Words::of(
            "Nothing per request. But what a server remembers goes with it: whoever restarts servers one after the other \
             without emptying them first logs users out, some of them twice.",
            "요청마다 드는 비용은 없습니다. 그러나 서버가 사라지면 기억도 사라집니다. 서버를 비우지 않고 차례로 재시작하면 \
             사용자가 로그아웃되고, 두 번 당하는 사람도 있습니다.",
        ),
    },
    Way {
        stores: &["redis", "memcached"],
        title: Words::of("A shared store", "공유 저장소"),
        does: Words::of(
            "All servers keep sessions in one place (Redis, Memcached) and ask it at every click. Any server will do.",
            "모든 서버가 세션을 한곳(Redis, Memcached)에 두고 클릭마다 조회합니다. 어느 서버든 괜찮습니다.",
        ),
        costs: Words::of(
            "A trip to the store per request, and one more thing that must run: if it comes back empty, everybody is \
             logged out.",
            "요청마다 저장소를 다녀와야 하고, 돌보아야 할 것이 하나 늘어납니다. 저장소가 빈 채로 되살아나면 모두가 \
             로그아웃됩니다.",
        ),
    },
    Way {
        stores: &["jwt"],
        title: Words::of("A signed token", "서명된 토큰"),
        does: Words::of(
            "The session itself rides in the cookie, signed so that nobody can change it (JWT). Servers remember nothing.",
            "세션 자체가 쿠키에 담겨 오가고, 아무도 바꾸지 못하게 서명되어 있습니다(JWT). 서버는 아무것도 기억하지 않습니다.",
        ),
        costs: Words::of(
            "A larger cookie and a signature to check at every request. And a logout is not at once: the token is good \
             until it ends, unless servers look up a list of ended ones.",
            "쿠키가 커지고 요청마다 서명을 확인해야 합니다. 또한 로그아웃이 바로 통하지 않습니다. 서버가 폐기 목록을 \
             조회하지 않는 한, 토큰은 만료될 때까지 유효합니다.",
        ),
    },
];
pub(crate) const DOES: Words = Words::of("How it works", "방식");
pub(crate) const COSTS_WHAT: Words = Words::of("What it costs", "비용");
pub(crate) const SEEN_HERE: Words = Words::of("Seen here", "이번 결과");

/// Words that the report uses, explained.
pub(crate) const GLOSSARY: [(Words, Words); 7] = [
    (
        Words::of("lost", "손실"),
        Words::of(
            "a valid session that nobody knows any more: the user has to log in again. Over several restarts one session \
             can be lost more than once, so the figure per session can exceed 1",
            "유효한데도 아무도 알지 못하는 세션. 사용자는 다시 로그인해야 합니다. 여러 번 재시작하는 동안 한 세션을 여러 번 잃을 \
             수 있어 세션당 값이 1을 넘기도 합니다",
        ),
    ),
    (
        Words::of("old state (stale)", "옛 상태"),
        Words::of(
            "the answer shows less than the user had already seen: an older copy came back to life, without any error",
            "사용자가 이미 본 것보다 오래된 상태를 보여 주는 응답. 오류 없이 예전 사본이 되살아난 것입니다",
        ),
    ),
    (
        Words::of("forced, policy, unforced moves", "불가피한 이동, 정책 이동, 불필요한 이동"),
        Words::of(
            "a session went to another backend because its own was gone; because it was being emptied; for no reason at \
             all (the target is 0)",
            "세션이 다른 백엔드로 간 까닭. 자기 백엔드가 사라져서, 비우는 중이어서, 또는 아무 까닭 없이(목표는 0)",
        ),
    ),
    (
        Words::of("moved against the least possible (D)", "최소 대비 이동(D)"),
        Words::of(
            "1 is best: only those moved who had to",
            "1이 가장 좋습니다. 꼭 옮겨야 할 세션만 옮긴 것입니다",
        ),
    ),
    (
        Words::of("peak to average", "최대/평균"),
        Words::of(
            "the fullest backend against the average; 1 is even, 2 means that one has twice its share",
            "가장 붐비는 백엔드를 평균과 견준 값. 1이면 고르고, 2이면 한 대가 제 몫의 두 배를 집니다",
        ),
    ),
    (
        Words::of("CV", "CV"),
        Words::of(
            "the standard deviation of the backends' loads, divided by their mean; 0 is even",
            "백엔드 부하의 표준편차를 평균으로 나눈 값. 0이면 고릅니다",
        ),
    ),
    (
        Words::of("z", "z"),
        Words::of(
            "how many standard deviations lie between what was measured and what theory says",
            "측정값과 이론값의 차이를 표준편차로 나눈 값",
        ),
    ),
];
pub(crate) const GLOSSARY_TITLE: Words = Words::of("Words", "용어");

pub(crate) const KEEPS: Words = Words::of("keeps every session", "모든 세션을 지킴");
pub(crate) const LOSES: Words = Words::of("loses sessions", "세션을 잃음");
pub(crate) const OLD_STATE: Words = Words::of("old states seen", "옛 상태 노출");
pub(crate) const MOVES: Words = Words::of("moves without need", "불필요하게 옮김");
pub(crate) const UNRANKED: Words = Words::of("not ranked", "순위 제외");

pub(crate) const BALANCER: Words = Words::of("balancer", "로드밸런서");
pub(crate) const APPLICATION: Words = Words::of("application", "애플리케이션");
pub(crate) const STORE: Words = Words::of("store", "저장소");
pub(crate) const CPU_IN_ALL: Words = Words::of("CPU per request, µs", "요청당 CPU, µs");
pub(crate) const LEAST: Words = Words::of("the least possible", "최소");
pub(crate) const STAYED: Words = Words::of("stayed", "머문 세션");
pub(crate) const MOVED: Words = Words::of("moved", "옮긴 세션");
pub(crate) const FRONT: Words = Words::of("the front", "경계선");
pub(crate) const FROM: Words = Words::of("from", "출발");
pub(crate) const TO: Words = Words::of("to", "도착");
pub(crate) const CLASS: Words = Words::of("class", "종류");
pub(crate) const MILLISECONDS: Words = Words::of("milliseconds (logarithmic)", "밀리초 (로그 눈금)");
pub(crate) const INTERVAL: Words = Words::of("95 % interval", "95 % 구간");
pub(crate) const VALUE: Words = Words::of("value", "값");
pub(crate) const EXPECTED: Words = Words::of("expected", "기댓값");
pub(crate) const MEASURED: Words = Words::of("measured", "측정값");
pub(crate) const TOLERANCE: Words = Words::of("tolerance", "허용 오차");
pub(crate) const CHECK: Words = Words::of("check", "점검");
pub(crate) const RESULT: Words = Words::of("result", "결과");
pub(crate) const PASSES: Words = Words::of("holds", "성립");
pub(crate) const FAILS: Words = Words::of("does not hold", "불성립");
pub(crate) const QUESTION: Words = Words::of("question", "질문");
pub(crate) const SEEN: Words = Words::of("seen", "관찰");
pub(crate) const ANSWER: Words = Words::of("answer", "판정");
pub(crate) const CHANCE: Words = Words::of("by chance", "우연일 확률");
pub(crate) const CERTAINTY: Words = Words::of("certainty", "확실성");
pub(crate) const STANDARD_DEVIATIONS: Words = Words::of("z, standard deviations", "z, 표준편차");

pub(crate) fn class(name: &str) -> Words {
    match name {
        "all" => Words::of("all", "전체"),
        "owner_hit" => Words::of("at home", "제자리"),
        "moved" => Words::of("moved", "옮긴 뒤"),
        "first" => Words::of("first visit", "첫 방문"),
        "retried" => Words::of("tried again", "재시도"),
        other => Words::same(other),
    }
}

/// What an event is called, at the beginning of a sentence.
pub(crate) fn event(kind: &str) -> Words {
    match kind {
        "roll" => Words::of("A rolling restart", "순차 재시작"),
        "crash" => Words::of("A crash", "백엔드 장애"),
        "crash_return" | "crash+return" | "restart" => Words::of("A crash and return", "백엔드 장애와 복귀"),
        "freeze" => Words::of("A frozen backend", "백엔드 멈춤"),
        "drain" => Words::of("A drain", "드레인"),
        "add" => Words::of("A new backend", "백엔드 추가"),
        "remove" => Words::of("A backend taken out", "백엔드 제거"),
        "reorder" | "list_reorder" => Words::of("A reordered list", "목록 순서 변경"),
        "lb_reload" => Words::of("A reload of the balancer", "로드밸런서 설정 다시 읽기"),
        "lb_restart" => Words::of("A restart of the balancer", "로드밸런서 재시작"),
        "store_restart" => Words::of("A restart of the store", "저장소 재시작"),
        "ip_change" => Words::of("A change of the client's address", "클라이언트 주소 변경"),
        "cookie_strip" | "jar_clear" | "cookie_lost" => Words::of("A lost cookie", "쿠키 유실"),
        _ => Words::of("What was done in this run", "이번 실행에서 일어난 일"),
    }
}

/// What a key of the workload or the host is called.
pub(crate) fn condition(name: &str) -> Words {
    match name {
        "users" => Words::of("users", "사용자"),
        "n" => Words::of("backends", "백엔드 수"),
        "profile" => Words::of("kind of users", "사용자 유형"),
        "think_s" => Words::of("time between clicks, s", "클릭 간격, 초"),
        "stay_s" => Words::of("length of a session, s", "세션 길이, 초"),
        "duration_s" => Words::of("duration, s", "실행 시간, 초"),
        "time_scale" => Words::of("clock runs so many times faster", "시간 가속 배수"),
        "n_eff" => {
            Words::of("as unequal as so many equal networks (N_eff)", "균등한 네트워크로 환산한 수 (N_eff)")
        }
        "n_eff_addresses" => Words::of("the same of addresses", "균등한 주소로 환산한 수"),
        "predicted_cv" => {
            Words::of("unevenness to expect of a hash by network (CV)", "네트워크 해시의 예상 불균형 (CV)")
        }
        "predicted_cv_addresses" => Words::of("the same by address", "주소 해시의 예상 불균형 (CV)"),
        "zipf" => Words::of("how unequal networks are (Zipf)", "네트워크 편중 (Zipf)"),
        "cookieless" => Words::of("share without cookies", "쿠키 없는 비율"),
        "behind_one" => Words::of("share behind one address", "한 주소 뒤의 비율"),
        "stay" => Words::of("length of a session, s", "세션 길이, 초"),
        "mobile" => Words::of("share on the move", "이동 중인 비율"),
        "cpu" => Words::of("processor", "프로세서"),
        "cores" => Words::of("cores", "코어"),
        "kernel" => Words::of("kernel", "커널"),
        other => Words::same(other),
    }
}
