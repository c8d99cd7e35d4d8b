// fails with E0451: the text of an answer comes from strict reading alone
use triseal::envelope::mosip_ida::AnswerText;

pub fn make() -> AnswerText {
    AnswerText {
        bytes: todo!(),
        place: todo!(),
    }
}
