/* Preloaded into processes, it lets them see another wall clock than the machine's: set forward or back by the seconds
   in the four characters of the file that CLOCK_OFFSET names ("-060"), from the moment in which they are written there.
   What can't be set, CLOCK_MONOTONIC, stays the machine's: Debian 12's libfaketime, told so, breaks Python's sleep. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const volatile char *offset_text;
static int (*real_sem_timedwait)(sem_t *, const struct timespec *);
static int (*real_cond_timedwait)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);

__attribute__((constructor)) static void begin(void)
{
    int file = open(getenv("CLOCK_OFFSET"), O_RDONLY | O_CLOEXEC);
    offset_text = mmap(NULL, 4, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    real_sem_timedwait = dlsym(RTLD_NEXT, "sem_timedwait");
    real_cond_timedwait = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
}

static long offset(void)
{
    if (offset_text == NULL || offset_text == MAP_FAILED)
        return 0;
    long seconds = (offset_text[1] - '0') * 100 + (offset_text[2] - '0') * 10 + (offset_text[3] - '0');
    return offset_text[0] == '-' ? -seconds : seconds;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
        now->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *now, void *zone)
{
    int failed = syscall(SYS_gettimeofday, now, zone);
    if (!failed)
        now->tv_sec += offset();
    return failed;
}

time_t time(time_t *where)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (where != NULL)
        *where = now.tv_sec;
    return now.tv_sec;
}

/* The kernel compares a deadline of the wall clock with the machine's. One of the clock that can't be set counts from the
   machine's start: it is no date after 2001. */
static struct timespec machines(const struct timespec *until)
{
    return (struct timespec){until->tv_sec > 1000000000 ? until->tv_sec - offset() : until->tv_sec, until->tv_nsec};
}

int sem_timedwait(sem_t *semaphore, const struct timespec *until)
{
    struct timespec then = machines(until);
    return real_sem_timedwait(semaphore, &then);
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    struct timespec then = machines(until);
    return real_cond_timedwait(condition, mutex, &then);
}
