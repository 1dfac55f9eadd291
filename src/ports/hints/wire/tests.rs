use proptest::prelude::*;

use super::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).unwrap()
}

fn hint() -> impl Strategy<Value = Hint> {
    let instant = || (-1_000_000_000_000_i64..4_000_000_000_000).prop_map(at);
    let status = prop::sample::select(vec![
        SeatStatus::Available,
        SeatStatus::Reserved,
        SeatStatus::Booked,
        SeatStatus::Blocked,
    ]);
    let seat = ("[A-Z]{1,3}-[0-9ä]{1,4}", any::<u64>(), status, any::<bool>());
    let seat = (seat, prop::option::of(instant())).prop_map(|(seat, until)| {
        let (number, version, status, withheld) = seat;
        let number = number.parse().unwrap();
        Hint::Seat(SeatHint { number, version, status, until, withheld })
    });
    let figures = (any::<i64>(), any::<i64>(), any::<i64>());
    let line = ("[a-z]{1,9}", any::<u64>(), figures, instant());
    let line = line.prop_map(|(sku, version, (available, reserved, committed), updated_at)| {
        let sku = sku.parse().unwrap();
        Hint::Line(LineHint { sku, version, available, reserved, committed, updated_at })
    });
    let decided = ("/[a-z]{1,9}", "[a-z0-9]{1,9}").prop_map(|(source, id)| {
        Hint::Decided(CommandKey { source: source.parse().unwrap(), id: id.parse().unwrap() })
    });
    let result = "[ -~]{0,40}".prop_map(|body| Hint::Result(Arc::from(body.as_str())));
    prop_oneof![Just(Hint::ReadAgain), seat, line, decided, result]
}

fn frame() -> impl Strategy<Value = Frame> {
    let hints = prop::collection::vec(hint(), 0..20);
    (any::<u128>(), 20_u64..=u64::MAX, hints, any::<bool>()).prop_map(
        |(stream, last, hints, is_idle)| Frame {
            stream: Uuid::from_u128(stream),
            last,
            hints,
            is_idle,
        },
    )
}

proptest! {
    #[test]
    fn a_frame_is_read_as_it_was_written(frame in frame()) {
        let bytes = encode(&frame);
        let size: usize = frame.hints.iter().map(Hint::bytes_max).sum();
        prop_assert!(bytes.len() <= size + 32);
        prop_assert_eq!(decode(&bytes), Ok(frame));
    }

    #[test]
    fn a_frame_that_is_cut_short_is_no_frame_with_those_hints(
        frame in frame(), cut in any::<prop::sample::Index>()
    ) {
        let bytes = encode(&frame);
        let cut = cut.index(bytes.len());
        // What is left may be a shorter frame, but its hints are then the first of these.
        if let Ok(shorter) = decode(&bytes[..cut]) {
            prop_assert!(frame.hints.starts_with(&shorter.hints));
            prop_assert!(shorter.hints.len() < frame.hints.len());
        }
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode(&bytes);
        // Past the version as well.
        if let Some(first) = bytes.first_mut() {
            *first = VERSION;
        }
        if let Some(flags) = bytes.get_mut(1) {
            *flags &= IDLE;
        }
        if let Ok(frame) = decode(&bytes) {
            prop_assert_eq!(decode(&encode(&frame)), Ok(frame));
        }
    }
}

fn heartbeat() -> Frame {
    Frame { stream: Uuid::from_u128(7), last: 3, hints: Vec::new(), is_idle: false }
}

#[test]
fn a_frame_of_another_version_or_kind_is_refused() {
    let good = encode(&heartbeat());
    assert_eq!(decode(&good), Ok(heartbeat()));
    let refused = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        decode(&bytes).unwrap_err().to_string()
    };
    assert_eq!(refused(0, 2), "not a frame of hints: its version is not known");
    assert_eq!(refused(1, 2), "not a frame of hints: its flags are not known");
    let mut unknown = good.clone();
    unknown.push(99);
    assert!(decode(&unknown).unwrap_err().to_string().contains("not known"));
}

#[test]
fn bounds_are_kept() {
    let many =
        Frame { last: 2_000, hints: vec![Hint::ReadAgain; FRAME_HINTS_MAX + 1], ..heartbeat() };
    assert!(decode(&encode(&many)).is_err());
    let more_than_numbered = Frame { last: 1, hints: vec![Hint::ReadAgain; 2], ..heartbeat() };
    assert!(decode(&encode(&more_than_numbered)).is_err());
    assert!(decode(&vec![VERSION; FRAME_BYTES_MAX + 1]).is_err());
    // A length beyond what is there takes no memory.
    let mut long = encode(&heartbeat());
    long.push(RESULT);
    put_number(&mut long, u64::MAX);
    assert_eq!(decode(&long), Err(SHORT));
}

#[test]
fn a_hold_is_never_shown_as_shorter_than_it_is() {
    let until: Timestamp = "2026-11-22T10:00:00.0000001Z".parse().unwrap();
    assert_eq!(rounded_up(until).to_string(), "2026-11-22T10:00:00.001Z");
    let whole = at(1_700_000_000_000);
    assert_eq!(rounded_up(whole), whole);
    assert_eq!(rounded_up(Timestamp::MIN), Timestamp::MIN);
}
