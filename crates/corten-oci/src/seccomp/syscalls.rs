//! The numbers of the system calls, by the names that seccomp profiles use.
//!
//! A profile is written for many architectures and names calls that ours does not have: those are `None` and are skipped,
//! as libseccomp does. Numbers come from the C library's headers; the calls it does not know yet have the same number on
//! every architecture (the kernel unified them from 424 on) and are listed by hand.

macro_rules! numbers {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), sys::$name)),*] };
}

/// The C library's constants under the names of the calls.
#[allow(non_upper_case_globals, reason = "the constants carry the names of the calls")]
mod sys {
    pub(super) use libc::SYS_accept as accept;
    pub(super) use libc::SYS_accept4 as accept4;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_access as access;
    pub(super) use libc::SYS_acct as acct;
    pub(super) use libc::SYS_add_key as add_key;
    pub(super) use libc::SYS_adjtimex as adjtimex;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_afs_syscall as afs_syscall;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_alarm as alarm;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_arch_prctl as arch_prctl;
    pub(super) use libc::SYS_bind as bind;
    pub(super) use libc::SYS_bpf as bpf;
    pub(super) use libc::SYS_brk as brk;
    pub(super) use libc::SYS_capget as capget;
    pub(super) use libc::SYS_capset as capset;
    pub(super) use libc::SYS_chdir as chdir;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_chmod as chmod;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_chown as chown;
    pub(super) use libc::SYS_chroot as chroot;
    pub(super) use libc::SYS_clock_adjtime as clock_adjtime;
    pub(super) use libc::SYS_clock_getres as clock_getres;
    pub(super) use libc::SYS_clock_gettime as clock_gettime;
    pub(super) use libc::SYS_clock_nanosleep as clock_nanosleep;
    pub(super) use libc::SYS_clock_settime as clock_settime;
    pub(super) use libc::SYS_clone as clone;
    pub(super) use libc::SYS_clone3 as clone3;
    pub(super) use libc::SYS_close as close;
    pub(super) use libc::SYS_close_range as close_range;
    pub(super) use libc::SYS_connect as connect;
    pub(super) use libc::SYS_copy_file_range as copy_file_range;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_creat as creat;
    pub(super) use libc::SYS_delete_module as delete_module;
    pub(super) use libc::SYS_dup as dup;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_dup2 as dup2;
    pub(super) use libc::SYS_dup3 as dup3;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_epoll_create as epoll_create;
    pub(super) use libc::SYS_epoll_create1 as epoll_create1;
    pub(super) use libc::SYS_epoll_ctl as epoll_ctl;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_epoll_ctl_old as epoll_ctl_old;
    pub(super) use libc::SYS_epoll_pwait as epoll_pwait;
    pub(super) use libc::SYS_epoll_pwait2 as epoll_pwait2;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_epoll_wait as epoll_wait;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_epoll_wait_old as epoll_wait_old;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_eventfd as eventfd;
    pub(super) use libc::SYS_eventfd2 as eventfd2;
    pub(super) use libc::SYS_execve as execve;
    pub(super) use libc::SYS_execveat as execveat;
    pub(super) use libc::SYS_exit as exit;
    pub(super) use libc::SYS_exit_group as exit_group;
    pub(super) use libc::SYS_faccessat as faccessat;
    pub(super) use libc::SYS_faccessat2 as faccessat2;
    pub(super) use libc::SYS_fadvise64 as fadvise64;
    pub(super) use libc::SYS_fallocate as fallocate;
    pub(super) use libc::SYS_fanotify_init as fanotify_init;
    pub(super) use libc::SYS_fanotify_mark as fanotify_mark;
    pub(super) use libc::SYS_fchdir as fchdir;
    pub(super) use libc::SYS_fchmod as fchmod;
    pub(super) use libc::SYS_fchmodat as fchmodat;
    pub(super) use libc::SYS_fchown as fchown;
    pub(super) use libc::SYS_fchownat as fchownat;
    pub(super) use libc::SYS_fcntl as fcntl;
    pub(super) use libc::SYS_fdatasync as fdatasync;
    pub(super) use libc::SYS_fgetxattr as fgetxattr;
    pub(super) use libc::SYS_finit_module as finit_module;
    pub(super) use libc::SYS_flistxattr as flistxattr;
    pub(super) use libc::SYS_flock as flock;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_fork as fork;
    pub(super) use libc::SYS_fremovexattr as fremovexattr;
    pub(super) use libc::SYS_fsconfig as fsconfig;
    pub(super) use libc::SYS_fsetxattr as fsetxattr;
    pub(super) use libc::SYS_fsmount as fsmount;
    pub(super) use libc::SYS_fsopen as fsopen;
    pub(super) use libc::SYS_fspick as fspick;
    pub(super) use libc::SYS_fstat as fstat;
    pub(super) use libc::SYS_fstatfs as fstatfs;
    pub(super) use libc::SYS_fsync as fsync;
    pub(super) use libc::SYS_ftruncate as ftruncate;
    pub(super) use libc::SYS_futex as futex;
    pub(super) use libc::SYS_futex_waitv as futex_waitv;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_futimesat as futimesat;
    pub(super) use libc::SYS_get_mempolicy as get_mempolicy;
    pub(super) use libc::SYS_get_robust_list as get_robust_list;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_get_thread_area as get_thread_area;
    pub(super) use libc::SYS_getcpu as getcpu;
    pub(super) use libc::SYS_getcwd as getcwd;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_getdents as getdents;
    pub(super) use libc::SYS_getdents64 as getdents64;
    pub(super) use libc::SYS_getegid as getegid;
    pub(super) use libc::SYS_geteuid as geteuid;
    pub(super) use libc::SYS_getgid as getgid;
    pub(super) use libc::SYS_getgroups as getgroups;
    pub(super) use libc::SYS_getitimer as getitimer;
    pub(super) use libc::SYS_getpeername as getpeername;
    pub(super) use libc::SYS_getpgid as getpgid;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_getpgrp as getpgrp;
    pub(super) use libc::SYS_getpid as getpid;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_getpmsg as getpmsg;
    pub(super) use libc::SYS_getppid as getppid;
    pub(super) use libc::SYS_getpriority as getpriority;
    pub(super) use libc::SYS_getrandom as getrandom;
    pub(super) use libc::SYS_getresgid as getresgid;
    pub(super) use libc::SYS_getresuid as getresuid;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_getrlimit as getrlimit;
    pub(super) use libc::SYS_getrusage as getrusage;
    pub(super) use libc::SYS_getsid as getsid;
    pub(super) use libc::SYS_getsockname as getsockname;
    pub(super) use libc::SYS_getsockopt as getsockopt;
    pub(super) use libc::SYS_gettid as gettid;
    pub(super) use libc::SYS_gettimeofday as gettimeofday;
    pub(super) use libc::SYS_getuid as getuid;
    pub(super) use libc::SYS_getxattr as getxattr;
    pub(super) use libc::SYS_init_module as init_module;
    pub(super) use libc::SYS_inotify_add_watch as inotify_add_watch;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_inotify_init as inotify_init;
    pub(super) use libc::SYS_inotify_init1 as inotify_init1;
    pub(super) use libc::SYS_inotify_rm_watch as inotify_rm_watch;
    pub(super) use libc::SYS_io_cancel as io_cancel;
    pub(super) use libc::SYS_io_destroy as io_destroy;
    pub(super) use libc::SYS_io_getevents as io_getevents;
    pub(super) use libc::SYS_io_setup as io_setup;
    pub(super) use libc::SYS_io_submit as io_submit;
    pub(super) use libc::SYS_io_uring_enter as io_uring_enter;
    pub(super) use libc::SYS_io_uring_register as io_uring_register;
    pub(super) use libc::SYS_io_uring_setup as io_uring_setup;
    pub(super) use libc::SYS_ioctl as ioctl;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_ioperm as ioperm;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_iopl as iopl;
    pub(super) use libc::SYS_ioprio_get as ioprio_get;
    pub(super) use libc::SYS_ioprio_set as ioprio_set;
    pub(super) use libc::SYS_kcmp as kcmp;
    pub(super) use libc::SYS_kexec_file_load as kexec_file_load;
    pub(super) use libc::SYS_kexec_load as kexec_load;
    pub(super) use libc::SYS_keyctl as keyctl;
    pub(super) use libc::SYS_kill as kill;
    pub(super) use libc::SYS_landlock_add_rule as landlock_add_rule;
    pub(super) use libc::SYS_landlock_create_ruleset as landlock_create_ruleset;
    pub(super) use libc::SYS_landlock_restrict_self as landlock_restrict_self;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_lchown as lchown;
    pub(super) use libc::SYS_lgetxattr as lgetxattr;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_link as link;
    pub(super) use libc::SYS_linkat as linkat;
    pub(super) use libc::SYS_listen as listen;
    pub(super) use libc::SYS_listxattr as listxattr;
    pub(super) use libc::SYS_llistxattr as llistxattr;
    pub(super) use libc::SYS_lookup_dcookie as lookup_dcookie;
    pub(super) use libc::SYS_lremovexattr as lremovexattr;
    pub(super) use libc::SYS_lseek as lseek;
    pub(super) use libc::SYS_lsetxattr as lsetxattr;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_lstat as lstat;
    pub(super) use libc::SYS_madvise as madvise;
    pub(super) use libc::SYS_mbind as mbind;
    pub(super) use libc::SYS_membarrier as membarrier;
    pub(super) use libc::SYS_memfd_create as memfd_create;
    pub(super) use libc::SYS_memfd_secret as memfd_secret;
    pub(super) use libc::SYS_migrate_pages as migrate_pages;
    pub(super) use libc::SYS_mincore as mincore;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_mkdir as mkdir;
    pub(super) use libc::SYS_mkdirat as mkdirat;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_mknod as mknod;
    pub(super) use libc::SYS_mknodat as mknodat;
    pub(super) use libc::SYS_mlock as mlock;
    pub(super) use libc::SYS_mlock2 as mlock2;
    pub(super) use libc::SYS_mlockall as mlockall;
    pub(super) use libc::SYS_mmap as mmap;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_modify_ldt as modify_ldt;
    pub(super) use libc::SYS_mount as mount;
    pub(super) use libc::SYS_mount_setattr as mount_setattr;
    pub(super) use libc::SYS_move_mount as move_mount;
    pub(super) use libc::SYS_move_pages as move_pages;
    pub(super) use libc::SYS_mprotect as mprotect;
    pub(super) use libc::SYS_mq_getsetattr as mq_getsetattr;
    pub(super) use libc::SYS_mq_notify as mq_notify;
    pub(super) use libc::SYS_mq_open as mq_open;
    pub(super) use libc::SYS_mq_timedreceive as mq_timedreceive;
    pub(super) use libc::SYS_mq_timedsend as mq_timedsend;
    pub(super) use libc::SYS_mq_unlink as mq_unlink;
    pub(super) use libc::SYS_mremap as mremap;
    pub(super) use libc::SYS_msgctl as msgctl;
    pub(super) use libc::SYS_msgget as msgget;
    pub(super) use libc::SYS_msgrcv as msgrcv;
    pub(super) use libc::SYS_msgsnd as msgsnd;
    pub(super) use libc::SYS_msync as msync;
    pub(super) use libc::SYS_munlock as munlock;
    pub(super) use libc::SYS_munlockall as munlockall;
    pub(super) use libc::SYS_munmap as munmap;
    pub(super) use libc::SYS_name_to_handle_at as name_to_handle_at;
    pub(super) use libc::SYS_nanosleep as nanosleep;
    pub(super) use libc::SYS_newfstatat as newfstatat;
    pub(super) use libc::SYS_nfsservctl as nfsservctl;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_open as open;
    pub(super) use libc::SYS_open_by_handle_at as open_by_handle_at;
    pub(super) use libc::SYS_open_tree as open_tree;
    pub(super) use libc::SYS_openat as openat;
    pub(super) use libc::SYS_openat2 as openat2;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_pause as pause;
    pub(super) use libc::SYS_perf_event_open as perf_event_open;
    pub(super) use libc::SYS_personality as personality;
    pub(super) use libc::SYS_pidfd_getfd as pidfd_getfd;
    pub(super) use libc::SYS_pidfd_open as pidfd_open;
    pub(super) use libc::SYS_pidfd_send_signal as pidfd_send_signal;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_pipe as pipe;
    pub(super) use libc::SYS_pipe2 as pipe2;
    pub(super) use libc::SYS_pivot_root as pivot_root;
    pub(super) use libc::SYS_pkey_alloc as pkey_alloc;
    pub(super) use libc::SYS_pkey_free as pkey_free;
    pub(super) use libc::SYS_pkey_mprotect as pkey_mprotect;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_poll as poll;
    pub(super) use libc::SYS_ppoll as ppoll;
    pub(super) use libc::SYS_prctl as prctl;
    pub(super) use libc::SYS_pread64 as pread64;
    pub(super) use libc::SYS_preadv as preadv;
    pub(super) use libc::SYS_preadv2 as preadv2;
    pub(super) use libc::SYS_prlimit64 as prlimit64;
    pub(super) use libc::SYS_process_madvise as process_madvise;
    pub(super) use libc::SYS_process_mrelease as process_mrelease;
    pub(super) use libc::SYS_process_vm_readv as process_vm_readv;
    pub(super) use libc::SYS_process_vm_writev as process_vm_writev;
    pub(super) use libc::SYS_pselect6 as pselect6;
    pub(super) use libc::SYS_ptrace as ptrace;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_putpmsg as putpmsg;
    pub(super) use libc::SYS_pwrite64 as pwrite64;
    pub(super) use libc::SYS_pwritev as pwritev;
    pub(super) use libc::SYS_pwritev2 as pwritev2;
    pub(super) use libc::SYS_quotactl as quotactl;
    pub(super) use libc::SYS_quotactl_fd as quotactl_fd;
    pub(super) use libc::SYS_read as read;
    pub(super) use libc::SYS_readahead as readahead;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_readlink as readlink;
    pub(super) use libc::SYS_readlinkat as readlinkat;
    pub(super) use libc::SYS_readv as readv;
    pub(super) use libc::SYS_reboot as reboot;
    pub(super) use libc::SYS_recvfrom as recvfrom;
    pub(super) use libc::SYS_recvmmsg as recvmmsg;
    pub(super) use libc::SYS_recvmsg as recvmsg;
    pub(super) use libc::SYS_remap_file_pages as remap_file_pages;
    pub(super) use libc::SYS_removexattr as removexattr;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_rename as rename;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_renameat as renameat;
    pub(super) use libc::SYS_renameat2 as renameat2;
    pub(super) use libc::SYS_request_key as request_key;
    pub(super) use libc::SYS_restart_syscall as restart_syscall;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_rmdir as rmdir;
    pub(super) use libc::SYS_rseq as rseq;
    pub(super) use libc::SYS_rt_sigaction as rt_sigaction;
    pub(super) use libc::SYS_rt_sigpending as rt_sigpending;
    pub(super) use libc::SYS_rt_sigprocmask as rt_sigprocmask;
    pub(super) use libc::SYS_rt_sigqueueinfo as rt_sigqueueinfo;
    pub(super) use libc::SYS_rt_sigreturn as rt_sigreturn;
    pub(super) use libc::SYS_rt_sigsuspend as rt_sigsuspend;
    pub(super) use libc::SYS_rt_sigtimedwait as rt_sigtimedwait;
    pub(super) use libc::SYS_rt_tgsigqueueinfo as rt_tgsigqueueinfo;
    pub(super) use libc::SYS_sched_get_priority_max as sched_get_priority_max;
    pub(super) use libc::SYS_sched_get_priority_min as sched_get_priority_min;
    pub(super) use libc::SYS_sched_getaffinity as sched_getaffinity;
    pub(super) use libc::SYS_sched_getattr as sched_getattr;
    pub(super) use libc::SYS_sched_getparam as sched_getparam;
    pub(super) use libc::SYS_sched_getscheduler as sched_getscheduler;
    pub(super) use libc::SYS_sched_rr_get_interval as sched_rr_get_interval;
    pub(super) use libc::SYS_sched_setaffinity as sched_setaffinity;
    pub(super) use libc::SYS_sched_setattr as sched_setattr;
    pub(super) use libc::SYS_sched_setparam as sched_setparam;
    pub(super) use libc::SYS_sched_setscheduler as sched_setscheduler;
    pub(super) use libc::SYS_sched_yield as sched_yield;
    pub(super) use libc::SYS_seccomp as seccomp;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_security as security;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_select as select;
    pub(super) use libc::SYS_semctl as semctl;
    pub(super) use libc::SYS_semget as semget;
    pub(super) use libc::SYS_semop as semop;
    pub(super) use libc::SYS_semtimedop as semtimedop;
    pub(super) use libc::SYS_sendfile as sendfile;
    pub(super) use libc::SYS_sendmmsg as sendmmsg;
    pub(super) use libc::SYS_sendmsg as sendmsg;
    pub(super) use libc::SYS_sendto as sendto;
    pub(super) use libc::SYS_set_mempolicy as set_mempolicy;
    pub(super) use libc::SYS_set_mempolicy_home_node as set_mempolicy_home_node;
    pub(super) use libc::SYS_set_robust_list as set_robust_list;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_set_thread_area as set_thread_area;
    pub(super) use libc::SYS_set_tid_address as set_tid_address;
    pub(super) use libc::SYS_setdomainname as setdomainname;
    pub(super) use libc::SYS_setfsgid as setfsgid;
    pub(super) use libc::SYS_setfsuid as setfsuid;
    pub(super) use libc::SYS_setgid as setgid;
    pub(super) use libc::SYS_setgroups as setgroups;
    pub(super) use libc::SYS_sethostname as sethostname;
    pub(super) use libc::SYS_setitimer as setitimer;
    pub(super) use libc::SYS_setns as setns;
    pub(super) use libc::SYS_setpgid as setpgid;
    pub(super) use libc::SYS_setpriority as setpriority;
    pub(super) use libc::SYS_setregid as setregid;
    pub(super) use libc::SYS_setresgid as setresgid;
    pub(super) use libc::SYS_setresuid as setresuid;
    pub(super) use libc::SYS_setreuid as setreuid;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_setrlimit as setrlimit;
    pub(super) use libc::SYS_setsid as setsid;
    pub(super) use libc::SYS_setsockopt as setsockopt;
    pub(super) use libc::SYS_settimeofday as settimeofday;
    pub(super) use libc::SYS_setuid as setuid;
    pub(super) use libc::SYS_setxattr as setxattr;
    pub(super) use libc::SYS_shmat as shmat;
    pub(super) use libc::SYS_shmctl as shmctl;
    pub(super) use libc::SYS_shmdt as shmdt;
    pub(super) use libc::SYS_shmget as shmget;
    pub(super) use libc::SYS_shutdown as shutdown;
    pub(super) use libc::SYS_sigaltstack as sigaltstack;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_signalfd as signalfd;
    pub(super) use libc::SYS_signalfd4 as signalfd4;
    pub(super) use libc::SYS_socket as socket;
    pub(super) use libc::SYS_socketpair as socketpair;
    pub(super) use libc::SYS_splice as splice;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_stat as stat;
    pub(super) use libc::SYS_statfs as statfs;
    pub(super) use libc::SYS_statx as statx;
    pub(super) use libc::SYS_swapoff as swapoff;
    pub(super) use libc::SYS_swapon as swapon;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_symlink as symlink;
    pub(super) use libc::SYS_symlinkat as symlinkat;
    pub(super) use libc::SYS_sync as sync;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_sync_file_range as sync_file_range;
    pub(super) use libc::SYS_syncfs as syncfs;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_sysfs as sysfs;
    pub(super) use libc::SYS_sysinfo as sysinfo;
    pub(super) use libc::SYS_syslog as syslog;
    pub(super) use libc::SYS_tee as tee;
    pub(super) use libc::SYS_tgkill as tgkill;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_time as time;
    pub(super) use libc::SYS_timer_create as timer_create;
    pub(super) use libc::SYS_timer_delete as timer_delete;
    pub(super) use libc::SYS_timer_getoverrun as timer_getoverrun;
    pub(super) use libc::SYS_timer_gettime as timer_gettime;
    pub(super) use libc::SYS_timer_settime as timer_settime;
    pub(super) use libc::SYS_timerfd_create as timerfd_create;
    pub(super) use libc::SYS_timerfd_gettime as timerfd_gettime;
    pub(super) use libc::SYS_timerfd_settime as timerfd_settime;
    pub(super) use libc::SYS_times as times;
    pub(super) use libc::SYS_tkill as tkill;
    pub(super) use libc::SYS_truncate as truncate;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_tuxcall as tuxcall;
    pub(super) use libc::SYS_umask as umask;
    pub(super) use libc::SYS_umount2 as umount2;
    pub(super) use libc::SYS_uname as uname;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_unlink as unlink;
    pub(super) use libc::SYS_unlinkat as unlinkat;
    pub(super) use libc::SYS_unshare as unshare;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_uselib as uselib;
    pub(super) use libc::SYS_userfaultfd as userfaultfd;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_ustat as ustat;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_utime as utime;
    pub(super) use libc::SYS_utimensat as utimensat;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_utimes as utimes;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_vfork as vfork;
    pub(super) use libc::SYS_vhangup as vhangup;
    pub(super) use libc::SYS_vmsplice as vmsplice;
    #[cfg(target_arch = "x86_64")]
    pub(super) use libc::SYS_vserver as vserver;
    pub(super) use libc::SYS_wait4 as wait4;
    pub(super) use libc::SYS_waitid as waitid;
    pub(super) use libc::SYS_write as write;
    pub(super) use libc::SYS_writev as writev;
}

/// Calls that every architecture has.
#[rustfmt::skip]
static COMMON: &[(&str, libc::c_long)] = numbers![
    accept, accept4, acct, add_key, adjtimex, bind, bpf, brk, capget, capset, chdir, chroot, clock_adjtime,
    clock_getres, clock_gettime, clock_nanosleep, clock_settime, clone, clone3, close, close_range, connect,
    copy_file_range, delete_module, dup, dup3, epoll_create1, epoll_ctl, epoll_pwait, epoll_pwait2, eventfd2, execve,
    execveat, exit, exit_group, faccessat, faccessat2, fadvise64, fallocate, fanotify_init, fanotify_mark, fchdir,
    fchmod, fchmodat, fchown, fchownat, fcntl, fdatasync, fgetxattr, finit_module, flistxattr, flock, fremovexattr,
    fsconfig, fsetxattr, fsmount, fsopen, fspick, fstat, fstatfs, fsync, ftruncate, futex, futex_waitv,
    get_mempolicy, get_robust_list, getcpu, getcwd, getdents64, getegid, geteuid, getgid, getgroups, getitimer,
    getpeername, getpgid, getpid, getppid, getpriority, getrandom, getresgid, getresuid, getrusage, getsid,
    getsockname, getsockopt, gettid, gettimeofday, getuid, getxattr, init_module, inotify_add_watch, inotify_init1,
    inotify_rm_watch, io_cancel, io_destroy, io_getevents, io_setup, io_submit, io_uring_enter, io_uring_register,
    io_uring_setup, ioctl, ioprio_get, ioprio_set, kcmp, kexec_file_load, kexec_load, keyctl, kill,
    landlock_add_rule, landlock_create_ruleset, landlock_restrict_self, lgetxattr, linkat, listen, listxattr,
    llistxattr, lookup_dcookie, lremovexattr, lseek, lsetxattr, madvise, mbind, membarrier, memfd_create,
    memfd_secret, migrate_pages, mincore, mkdirat, mknodat, mlock, mlock2, mlockall, mmap, mount, mount_setattr,
    move_mount, move_pages, mprotect, mq_getsetattr, mq_notify, mq_open, mq_timedreceive, mq_timedsend, mq_unlink,
    mremap, msgctl, msgget, msgrcv, msgsnd, msync, munlock, munlockall, munmap, name_to_handle_at, nanosleep,
    newfstatat, nfsservctl, open_by_handle_at, open_tree, openat, openat2, perf_event_open, personality, pidfd_getfd,
    pidfd_open, pidfd_send_signal, pipe2, pivot_root, pkey_alloc, pkey_free, pkey_mprotect, ppoll, prctl, pread64,
    preadv, preadv2, prlimit64, process_madvise, process_mrelease, process_vm_readv, process_vm_writev, pselect6,
    ptrace, pwrite64, pwritev, pwritev2, quotactl, quotactl_fd, read, readahead, readlinkat, readv, reboot, recvfrom,
    recvmmsg, recvmsg, remap_file_pages, removexattr, renameat2, request_key, restart_syscall, rseq, rt_sigaction,
    rt_sigpending, rt_sigprocmask, rt_sigqueueinfo, rt_sigreturn, rt_sigsuspend, rt_sigtimedwait, rt_tgsigqueueinfo,
    sched_get_priority_max, sched_get_priority_min, sched_getaffinity, sched_getattr, sched_getparam,
    sched_getscheduler, sched_rr_get_interval, sched_setaffinity, sched_setattr, sched_setparam, sched_setscheduler,
    sched_yield, seccomp, semctl, semget, semop, semtimedop, sendfile, sendmmsg, sendmsg, sendto, set_mempolicy,
    set_mempolicy_home_node, set_robust_list, set_tid_address, setdomainname, setfsgid, setfsuid, setgid, setgroups,
    sethostname, setitimer, setns, setpgid, setpriority, setregid, setresgid, setresuid, setreuid, setsid,
    setsockopt, settimeofday, setuid, setxattr, shmat, shmctl, shmdt, shmget, shutdown, sigaltstack, signalfd4,
    socket, socketpair, splice, statfs, statx, swapoff, swapon, symlinkat, sync, syncfs, sysinfo, syslog, tee,
    tgkill, timer_create, timer_delete, timer_getoverrun, timer_gettime, timer_settime, timerfd_create,
    timerfd_gettime, timerfd_settime, times, tkill, truncate, umask, umount2, uname, unlinkat, unshare, userfaultfd,
    utimensat, vhangup, vmsplice, wait4, waitid, write, writev
];

/// Calls that only the oldest architecture has kept.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
static NATIVE: &[(&str, libc::c_long)] = numbers![
    access, afs_syscall, alarm, arch_prctl, chmod, chown, creat, dup2, epoll_create, epoll_ctl_old, epoll_wait,
    epoll_wait_old, eventfd, fork, futimesat, get_thread_area, getdents, getpgrp, getpmsg, getrlimit, inotify_init,
    ioperm, iopl, lchown, link, lstat, mkdir, mknod, modify_ldt, open, pause, pipe, poll, putpmsg, readlink, rename,
    renameat, rmdir, security, select, set_thread_area, setrlimit, signalfd, stat, symlink, sync_file_range, sysfs,
    time, tuxcall, unlink, uselib, ustat, utime, utimes, vfork, vserver
];

/// Calls of our architecture alone.
#[cfg(not(target_arch = "x86_64"))]
static NATIVE: &[(&str, libc::c_long)] = &[];

/// Calls younger than the C library's table.
static RECENT: &[(&str, libc::c_long)] = &[
    ("cachestat", 451),
    ("fchmodat2", 452),
    ("map_shadow_stack", 453),
    ("futex_wake", 454),
    ("futex_wait", 455),
    ("futex_requeue", 456),
    ("statmount", 457),
    ("listmount", 458),
    ("lsm_get_self_attr", 459),
    ("lsm_set_self_attr", 460),
    ("lsm_list_modules", 461),
    ("mseal", 462),
    ("setxattrat", 463),
    ("getxattrat", 464),
    ("listxattrat", 465),
    ("removexattrat", 466),
    ("open_tree_attr", 467),
    #[cfg(target_arch = "x86_64")]
    ("uretprobe", 335),
];

/// The number of a call on this architecture; `None` if it has no such call.
pub(crate) fn number(name: &str) -> Option<u32> {
    [COMMON, NATIVE, RECENT]
        .into_iter()
        .flatten()
        .find(|(known, _)| *known == name)
        .map(|(_, number)| u32::try_from(*number).expect("call numbers are small and positive"))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn knows_old_new_and_foreign_calls() {
        assert_eq!(number("read"), u32::try_from(libc::SYS_read).ok());
        assert_eq!(number("clone3"), Some(435));
        assert_eq!(number("statmount"), Some(457));
        assert_eq!(number("s390_pci_mmio_read"), None);
    }
}
