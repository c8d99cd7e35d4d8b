//! HTTP/1.1 as bytes, read in one way only: what the gate reads of requests and the upstream pools of answers alike.
//!
//! Classes of bytes, field lines, lengths, and the chunks of a body, without any input or output. Who uses it decides which
//! fields there may be; here is refused what two readers could read differently (field guide 3.4).

mod chunks;
mod fields;

use std::{
    cell::{Cell, RefCell},
    io::{self, Write as _},
    ops::Range,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, ReadBuf};

pub use chunks::{Chunk, Follow};
pub use fields::{Line, Malformed, class, field_line, is, length, span};

/// Where a field stands in its head.
#[derive(Clone, Debug)]
pub struct FieldAt {
    /// Its name.
    pub name: Range<usize>,
    /// Its value.
    pub value: Range<usize>,
}

/// How many of the bytes belong to the `left` that are awaited, and how many are awaited then.
pub fn take(bytes: &[u8], left: u64) -> (usize, u64) {
    let here = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if here >= left {
        (usize::try_from(left).unwrap_or(usize::MAX), 0)
    } else {
        (bytes.len(), left.saturating_sub(here))
    }
}

/// The fields of a head as a map that shares the head's bytes; none when a name or value is not one.
pub fn headers(head: &Bytes, fields: &[FieldAt]) -> Option<HeaderMap> {
    // With room for what is added on the way: growing costs more than the map.
    let room = fields.len().saturating_add(2);
    let mut map = HeaderMap::try_with_capacity(room).ok()?;
    for field in fields {
        let name = HeaderName::from_bytes(head.get(field.name.clone())?).ok()?;
        head.get(field.value.clone())?;
        let value = HeaderValue::from_maybe_shared(head.slice(field.value.clone())).ok()?;
        map.try_append(name, value).ok()?;
    }
    Some(map)
}

/// A scratch that everything on this thread is read into, so that a connection that waits holds no buffer.
const SCRATCH: usize = 16 << 10;

/// A buffer that is written from; kept by the thread while nobody writes.
#[must_use]
pub fn borrow_output() -> Vec<u8> {
    WRITE.take()
}

/// Gives the buffer back, when all of it was written.
pub fn give_back_output(mut output: Vec<u8>) {
    if (1..=OUTPUT_KEPT).contains(&output.capacity()) {
        output.clear();
        WRITE.set(output);
    }
}

/// The largest buffer for output that a thread keeps.
const OUTPUT_KEPT: usize = 64 << 10;

thread_local! {
    static WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into_boxed_slice());
}

/// Reads what there is behind `input`; zero at the end of the stream.
pub fn poll_read_into<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
    input: &mut BytesMut,
) -> Poll<io::Result<usize>> {
    READ.with_borrow_mut(|scratch| {
        let mut buffer = ReadBuf::new(scratch);
        ready!(Pin::new(stream).poll_read(cx, &mut buffer))?;
        let read = buffer.filled();
        input.extend_from_slice(read);
        Poll::Ready(Ok(read.len()))
    })
}

/// A number in decimal.
pub fn push_decimal(text: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0_u8; 20];
    let mut from = digits.len();
    loop {
        let digit = u8::try_from(number.checked_rem(10).unwrap_or_default()).unwrap_or_default();
        from = from.saturating_sub(1);
        if let Some(place) = digits.get_mut(from) {
            *place = b'0' | digit;
        }
        number = number.checked_div(10).unwrap_or_default();
        if number == 0 {
            break;
        }
    }
    text.extend_from_slice(digits.get(from..).unwrap_or_default());
}

/// The line before a chunk.
pub fn push_chunk_size(text: &mut Vec<u8>, size: usize) {
    // Writing to memory does not fail.
    let _ = write!(text, "{size:x}\r\n");
}
