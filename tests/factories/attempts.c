/* Tries system calls that no build step may make, and prints `name: errno` of each, or `name: done`.

   The calls are made so that they change nothing where they are allowed: flags and modes that a file has already, no
   pointers, no lengths. Kernels and filters look at what is asked first. */

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <netinet/in.h>
#include <unistd.h>

static void tell(const char *name, long result)
{
    printf("%s: %s\n", name, result < 0 ? strerrorname_np(errno) : "done");
    fflush(stdout);
}

static long open_file(const char *path, int flags)
{
    int descriptor = open(path, flags | O_CLOEXEC | O_NONBLOCK);
    if (descriptor >= 0)
        close(descriptor);
    return descriptor;
}

static void as_it_is(const char *name, const char *path)
{
    struct stat found;
    tell(name, stat(path, &found) ? -1 : chmod(path, found.st_mode & 07777));
}

static void namespaces(void)
{
    tell("unshare-user", unshare(CLONE_NEWUSER));
    tell("unshare-mount", unshare(CLONE_NEWNS));
    tell("unshare-high-bits", syscall(SYS_unshare, 0x100000000L | CLONE_NEWUSER));
    tell("clone-user", syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
    tell("clone3", syscall(SYS_clone3, 0, 0));
    tell("setns", setns(open("/proc/1/ns/mnt", O_RDONLY | O_CLOEXEC), 0));
    tell("mount", mount("none", "/tmp", "tmpfs", 0, NULL));
    tell("umount", umount2("/proc/sys", MNT_DETACH));
    tell("remount", mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL));
    tell("mount_setattr", syscall(SYS_mount_setattr, -1, 0, 0, 0, 0));
    tell("open_tree", syscall(SYS_open_tree, -1, "/", 1));
    tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
    tell("pivot_root", syscall(SYS_pivot_root, "/", "/"));
    tell("chroot", chroot("/"));
#ifdef __x86_64__
    tell("x32-unshare", syscall(SYS_unshare | 0x40000000, CLONE_NEWUSER));
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(310), "b"(CLONE_NEWUSER) : "memory", "r8", "r9", "r10", "r11");
    errno = (int)-result;
    tell("i386-unshare", result < 0 ? -1 : 0);
#endif
}

/* What could stop or take over the first process of the sandbox, which tells melpy that a step has ended. */
static void first_process(void)
{
    char byte;
    struct iovec here = {&byte, 1}, there = {&byte, 1};
    tell("attach", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
    tell("seize", ptrace(PTRACE_SEIZE, 1, NULL, NULL));
    tell("attach-high-bits", syscall(SYS_ptrace, 0x100000000L | PTRACE_ATTACH, 0x100000001L, 0, 0));
    tell("process_vm_writev", process_vm_writev(1, &here, 1, &there, 1, 0));
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(26), "b"(PTRACE_ATTACH), "c"(1)
                     : "memory", "r8", "r9", "r10", "r11");
    errno = (int)-result;
    tell("i386-attach", result < 0 ? -1 : 0);
#endif
}

/* Have the first process of the sandbox go round for ever from where it waits, by way of its memory. */
static void freeze(void)
{
    char text[256] = "";
    int where = open("/proc/1/syscall", O_RDONLY), memory = open("/proc/1/mem", O_RDWR);
    tell("opened", where < 0 || memory < 0 ? -1 : 0);
    tell("read", read(where, text, sizeof text - 1));
    long place = strtol(strrchr(text, ' ') + 1, NULL, 16);
#ifdef __x86_64__
    tell("written", pwrite(memory, "\xeb\xfe", 2, place));
#else
    tell("written", pwrite(memory, "\0\0\0\x14", 4, place));
#endif
}

static void kernel(void)
{
    tell("bpf", syscall(SYS_bpf, 0, 0, 0));
    tell("perf_event_open", syscall(SYS_perf_event_open, 0, 0, 0, 0, 0));
    tell("userfaultfd", syscall(SYS_userfaultfd, 0));
    tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, 0));
    tell("keyctl", syscall(SYS_keyctl, 0, -3, 0));
    tell("add_key", syscall(SYS_add_key, "user", "x", "y", 1, -3));
    tell("request_key", syscall(SYS_request_key, "user", "x", 0, 0));
    tell("init_module", syscall(SYS_init_module, 0, 0, 0));
    tell("kexec_load", syscall(SYS_kexec_load, 0, 0, 0, 0));
    tell("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, 0, 0));
    tell("mknod-null", mknod("/tmp/null", S_IFCHR | 0666, makedev(1, 3)));
    tell("mknod-disk", mknod("/tmp/disk", S_IFBLK | 0666, makedev(254, 0)));
    tell("open-settings", open_file("/proc/sys/vm/swappiness", O_WRONLY));
    tell("open-memory", open_file("/dev/mem", O_RDONLY));
    tell("open-kmsg", open_file("/proc/kmsg", O_RDONLY));
    as_it_is("chmod-null", "/dev/null");
    as_it_is("chmod-tty", "/dev/tty");
}

static void sockets(void)
{
    tell("vsock", socket(AF_VSOCK, SOCK_STREAM, 0));
    tell("vsock-high-bits", syscall(SYS_socket, 0x100000000L | AF_VSOCK, SOCK_STREAM, 0));
    tell("alg", socket(AF_ALG, SOCK_SEQPACKET, 0));
    tell("packet", socket(AF_PACKET, SOCK_RAW, 0));
    tell("raw", socket(AF_INET, SOCK_RAW, 1));
}

/* Programs of the machine that run in the sandbox: its first process is bubblewrap. */
static void programs(const char *process)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%s/exe", process);
    as_it_is("chmod-program", path);
    tell("touch-program", utimensat(AT_FDCWD, path, NULL, 0));
    int found = open(path, O_PATH | O_CLOEXEC);
    snprintf(path, sizeof path, "/proc/self/fd/%d", found);
    tell("open-program", found < 0 ? -1 : open_file(path, O_WRONLY));
}

static void reach(const char *port, const char *name)
{
    struct sockaddr_in loopback = {.sin_family = AF_INET, .sin_port = htons((unsigned short)atoi(port))};
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    tell("loopback", connect(socket(AF_INET, SOCK_STREAM, 0), (struct sockaddr *)&loopback, sizeof loopback));
    struct sockaddr_un abstract = {.sun_family = AF_UNIX};
    snprintf(abstract.sun_path + 1, sizeof abstract.sun_path - 1, "%s", name);
    socklen_t size = (socklen_t)(sizeof abstract.sun_family + 1 + strlen(name));
    tell("abstract", connect(socket(AF_UNIX, SOCK_STREAM, 0), (struct sockaddr *)&abstract, size));
}

static void terminal(void)
{
    char letter = '!';
    int descriptor = open("/dev/tty", O_RDWR | O_CLOEXEC);
    tell("TIOCSTI", ioctl(descriptor < 0 ? 0 : descriptor, 0x5412, &letter));
    tell("TIOCSTI-high-bits", syscall(SYS_ioctl, descriptor < 0 ? 0 : descriptor, 0x100005412L, &letter));
    letter = 3; /* paste the selection */
    tell("TIOCLINUX", ioctl(descriptor < 0 ? 0 : descriptor, 0x541C, &letter));
}

int main(int count, char **words)
{
    const char *what = count > 1 ? words[1] : "";
    if (!strcmp(what, "namespaces"))
        namespaces();
    else if (!strcmp(what, "kernel"))
        kernel();
    else if (!strcmp(what, "freeze"))
        freeze();
    else if (!strcmp(what, "first-process"))
        first_process();
    else if (!strcmp(what, "sockets"))
        sockets();
    else if (!strcmp(what, "programs") && count > 2)
        programs(words[2]);
    else if (!strcmp(what, "reach") && count > 3)
        reach(words[2], words[3]);
    else if (!strcmp(what, "terminal"))
        terminal();
    else
        return 64;
    return 0;
}
