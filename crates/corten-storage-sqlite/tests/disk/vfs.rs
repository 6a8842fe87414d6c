//! Stands between SQLite and its files: a VFS over SQLite's own, that notes and fails what a [`Disk`] says.
//!
//! It is installed as the default of the process, so that the engine under test is the one that is shipped, and passes
//! everything on that is not under a watched directory. Nothing but tests has unsafe code because of it.
//! Interface: <https://www.sqlite.org/vfs.html>.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    mem::size_of,
    ptr,
    sync::{Arc, OnceLock},
};

use rusqlite::ffi::{self, sqlite3_file, sqlite3_io_methods, sqlite3_vfs};

use super::disk::{self, Disk, Fault, Kind, Operation};

/// What SQLite allocates for one open file: this, and behind it the file of the VFS below.
#[repr(C)]
struct File {
    base: sqlite3_file,
    shim: *mut Shim,
}

/// A file that may be watched.
struct Shim {
    watched: Option<(Arc<Disk>, String)>,
}

/// The VFS below, which lives as long as the process.
struct Below(*mut sqlite3_vfs);

// SAFETY: SQLite's own VFS may be called from every thread, and is never unregistered.
unsafe impl Send for Below {}
// SAFETY: as above.
unsafe impl Sync for Below {}

static BELOW: OnceLock<Below> = OnceLock::new();

/// Makes this VFS the default of the process, once.
pub(super) fn install() {
    BELOW.get_or_init(|| {
        // SAFETY: the first call initialises SQLite; null asks for the default, which exists and is never freed.
        let below = unsafe {
            assert_eq!(ffi::sqlite3_initialize(), ffi::SQLITE_OK);
            ffi::sqlite3_vfs_find(ptr::null())
        };
        assert!(!below.is_null(), "SQLite has a default VFS");
        // SAFETY: `below` points to a VFS that is not changed while it is registered; the copy shares its functions, which
        // either ignore their VFS or are replaced here by ones that pass `below`.
        let mut own = unsafe { ptr::read(below) };
        let extra = c_int::try_from(size_of::<File>()).unwrap();
        own.szOsFile += extra;
        own.zName = c"corten-disk".as_ptr();
        own.pNext = ptr::null_mut();
        own.xOpen = Some(open);
        own.xDelete = Some(delete);
        // SAFETY: the registered VFS is leaked, so that it lives as long as SQLite uses it.
        let registered = unsafe { ffi::sqlite3_vfs_register(Box::leak(Box::new(own)), 1) };
        assert_eq!(registered, ffi::SQLITE_OK);
        Below(below)
    });
}

fn below() -> *mut sqlite3_vfs {
    BELOW.get().expect("files are opened after the VFS was installed").0
}

static METHODS: sqlite3_io_methods = sqlite3_io_methods {
    // 2: with a shared index for the log, without mapped pages.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(sync),
    xFileSize: Some(file_size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_reserved_lock),
    xFileControl: Some(file_control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(device_characteristics),
    xShmMap: Some(shm_map),
    xShmLock: Some(shm_lock),
    xShmBarrier: Some(shm_barrier),
    xShmUnmap: Some(shm_unmap),
    xFetch: None,
    xUnfetch: None,
};

/// The file of the VFS below.
///
/// # Safety
/// `file` was given by SQLite to a function of this VFS: then the memory of the file below follows.
unsafe fn inner(file: *mut sqlite3_file) -> *mut sqlite3_file {
    // SAFETY: `szOsFile` counts both; `File` is a multiple of the alignment of pointers, which is all that SQLite promises.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the file below.
macro_rules! pass {
    ($file:expr, $method:ident $(, $argument:expr)*) => {{
        // SAFETY: SQLite calls methods only of files that are open; then the file below has its methods.
        unsafe {
            let inner = inner($file);
            let method = (*(*inner).pMethods).$method.expect("SQLite's own files have all methods of version 2");
            method(inner $(, $argument)*)
        }
    }};
}

/// The disk of a file and what is to happen to this call.
///
/// # Safety
/// `file` is open.
unsafe fn meet(file: *mut sqlite3_file, kind: Kind) -> Option<(Arc<Disk>, String, Option<Fault>)> {
    // SAFETY: `open` has set the shim, and `close`, which frees it, is the last call.
    let (disk, name) = unsafe { (*(*file.cast::<File>()).shim).watched.clone()? };
    let fault = disk.decide(kind, &name);
    Some((disk, name, fault))
}

unsafe extern "C" fn open(
    _vfs: *mut sqlite3_vfs,
    name: *const c_char,
    file: *mut sqlite3_file,
    flags: c_int,
    out: *mut c_int,
) -> c_int {
    // SAFETY: `file` has room for both files; the name stays valid while the file is open and is passed on as it came.
    unsafe {
        (*file).pMethods = ptr::null();
        let opened = (*below()).xOpen.expect("a VFS opens files")(below(), name, inner(file), flags, out);
        if opened != ffi::SQLITE_OK {
            return opened;
        }
        let watched = if name.is_null() { None } else { CStr::from_ptr(name).to_str().ok().and_then(disk::find) };
        (*file.cast::<File>()).shim = Box::into_raw(Box::new(Shim { watched }));
        (*file).pMethods = &raw const METHODS;
    }
    ffi::SQLITE_OK
}

unsafe extern "C" fn delete(_vfs: *mut sqlite3_vfs, name: *const c_char, sync: c_int) -> c_int {
    // SAFETY: a name to delete is a string.
    let found = unsafe { CStr::from_ptr(name) }.to_str().ok().and_then(disk::find);
    if let Some((disk, file)) = &found
        && disk.decide(Kind::Delete, file).is_some()
    {
        return ffi::SQLITE_IOERR_DELETE;
    }
    // SAFETY: the arguments are passed on as they came.
    let code = unsafe { (*below()).xDelete.expect("a VFS deletes files")(below(), name, sync) };
    if let Some((disk, file)) = found
        && code == ffi::SQLITE_OK
    {
        disk.note(Operation::Delete { file, durable: sync != 0 });
    }
    code
}

unsafe extern "C" fn close(file: *mut sqlite3_file) -> c_int {
    let code = pass!(file, xClose);
    // SAFETY: this is the last call, and `open` made the shim by `into_raw`.
    unsafe { drop(Box::from_raw((*file.cast::<File>()).shim)) };
    code
}

unsafe extern "C" fn read(file: *mut sqlite3_file, buffer: *mut c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: the file is open.
    if let Some((_, _, Some(_))) = unsafe { meet(file, Kind::Read) } {
        return ffi::SQLITE_IOERR_READ;
    }
    pass!(file, xRead, buffer, length, offset)
}

unsafe extern "C" fn write(file: *mut sqlite3_file, buffer: *const c_void, length: c_int, offset: i64) -> c_int {
    // SAFETY: the file is open.
    let Some((disk, name, fault)) = (unsafe { meet(file, Kind::Write) }) else {
        return pass!(file, xWrite, buffer, length, offset);
    };
    let (written, code) = match fault {
        None => (length, ffi::SQLITE_OK),
        Some(Fault::Error) => return ffi::SQLITE_IOERR_WRITE,
        Some(Fault::Torn) => (length / 2, ffi::SQLITE_IOERR_WRITE),
        Some(Fault::Full) => (length / 2, ffi::SQLITE_FULL),
    };
    let passed = pass!(file, xWrite, buffer, written, offset);
    if passed != ffi::SQLITE_OK {
        return passed;
    }
    // SAFETY: SQLite gives so many bytes.
    let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), written as usize) }.to_vec();
    disk.note(Operation::Write { file: name, offset: offset.unsigned_abs(), bytes });
    code
}

unsafe extern "C" fn truncate(file: *mut sqlite3_file, length: i64) -> c_int {
    // SAFETY: the file is open.
    let met = unsafe { meet(file, Kind::Truncate) };
    if let Some((_, _, Some(_))) = met {
        return ffi::SQLITE_IOERR_TRUNCATE;
    }
    let code = pass!(file, xTruncate, length);
    if let Some((disk, name, _)) = met
        && code == ffi::SQLITE_OK
    {
        disk.note(Operation::Truncate { file: name, length: length.unsigned_abs() });
    }
    code
}

unsafe extern "C" fn sync(file: *mut sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: the file is open.
    let Some((disk, name, fault)) = (unsafe { meet(file, Kind::Sync) }) else { return pass!(file, xSync, flags) };
    if fault.is_some() {
        disk.note(Operation::Lost { file: name });
        return ffi::SQLITE_IOERR_FSYNC;
    }
    // The recording knows what is durable: the real disk need not be waited for.
    disk.note(Operation::Sync { file: name });
    ffi::SQLITE_OK
}

unsafe extern "C" fn file_size(file: *mut sqlite3_file, size: *mut i64) -> c_int {
    pass!(file, xFileSize, size)
}

unsafe extern "C" fn lock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xLock, level)
}

unsafe extern "C" fn unlock(file: *mut sqlite3_file, level: c_int) -> c_int {
    pass!(file, xUnlock, level)
}

unsafe extern "C" fn check_reserved_lock(file: *mut sqlite3_file, out: *mut c_int) -> c_int {
    pass!(file, xCheckReservedLock, out)
}

unsafe extern "C" fn file_control(file: *mut sqlite3_file, operation: c_int, argument: *mut c_void) -> c_int {
    pass!(file, xFileControl, operation, argument)
}

unsafe extern "C" fn sector_size(file: *mut sqlite3_file) -> c_int {
    pass!(file, xSectorSize)
}

unsafe extern "C" fn device_characteristics(file: *mut sqlite3_file) -> c_int {
    pass!(file, xDeviceCharacteristics)
}

unsafe extern "C" fn shm_map(
    file: *mut sqlite3_file,
    region: c_int,
    size: c_int,
    extend: c_int,
    out: *mut *mut c_void,
) -> c_int {
    pass!(file, xShmMap, region, size, extend, out)
}

unsafe extern "C" fn shm_lock(file: *mut sqlite3_file, offset: c_int, count: c_int, flags: c_int) -> c_int {
    pass!(file, xShmLock, offset, count, flags)
}

unsafe extern "C" fn shm_barrier(file: *mut sqlite3_file) {
    pass!(file, xShmBarrier);
}

unsafe extern "C" fn shm_unmap(file: *mut sqlite3_file, delete: c_int) -> c_int {
    pass!(file, xShmUnmap, delete)
}
