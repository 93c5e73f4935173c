//! Finishes with its caller, the value that came with the call, its own address and the call data, and logs the data.
#![no_std]

mod storagemod {
    include!(env!("STORAGEMOD_RS"));
}
use storagemod::ethereum;

const DATA: usize = 56; // where the call data are, behind two addresses and a value

#[no_mangle]
pub extern "C" fn main() {
    if ethereum::getCallDataSize() == 0 {
        ethereum::revert(b"no data");
    }
    let end = DATA + ethereum::getCallDataSize().min(64) as usize;
    let mut output = [0; 120];
    output[..20].copy_from_slice(&ethereum::getCaller());
    output[20..36].copy_from_slice(&ethereum::getCallValue().to_le_bytes());
    output[36..DATA].copy_from_slice(&ethereum::getAddress());
    ethereum::callDataCopy(&mut output[DATA..end], 0);
    let mut topic = [0; 32];
    topic[0] = 7;
    ethereum::log(&output[DATA..end], &[topic]);
    ethereum::finish(&output[..end])
}
