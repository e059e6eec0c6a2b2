/* Each interpreter has an environment of its own.

   setenv() in one interpreter while another thread is in getenv() (or mktime(), which reads TZ)
   crashes a process. So private libraries see a copy, made when the shim is loaded. Readers take
   no lock: arrays and strings are replaced, never changed or freed. The little that a write
   leaks is what POSIX makes every libc leak. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "interpreter_lib/shim/bind.h"

TD_SHIM_EXPORT char** environ;
TD_SHIM_EXPORT extern char** __environ __attribute__((alias("environ")));
TD_SHIM_EXPORT extern char** _environ __attribute__((alias("environ")));

static pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

static size_t count_entries(char** entries) {
  size_t count = 0;
  while (entries != NULL && entries[count] != NULL) {
    ++count;
  }
  return count;
}

static void copy_process_environment(void) {
  char** source = *(char***)td_shim_process_symbol("environ");
  size_t count = count_entries(source);
  char** copy = malloc((count + 1) * sizeof *copy);
  if (copy == NULL) {
    abort();
  }
  for (size_t i = 0; i < count; ++i) {
    copy[i] = strdup(source[i]);
    if (copy[i] == NULL) {
      abort();
    }
  }
  copy[count] = NULL;
  environ = copy;
}

char** td_shim_environment(void) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, copy_process_environment);
  return __atomic_load_n(&environ, __ATOMIC_ACQUIRE);
}

/* libpython reads `environ` itself, without a call that could make the copy. */
__attribute__((constructor)) static void make_copy_at_load(void) {
  td_shim_environment();
}

static int is_entry_of(const char* entry, const char* name, size_t length) {
  return strncmp(entry, name, length) == 0 && entry[length] == '=';
}

/* Puts `entry` ("NAME=value", kept; null removes) in place of the entry of that name. */
static int replace_entry(const char* name, size_t length, char* entry, int overwrite) {
  pthread_mutex_lock(&write_lock);
  char** old = td_shim_environment();
  size_t count = count_entries(old);
  char** copy = malloc((count + 2) * sizeof *copy);
  if (copy == NULL) {
    pthread_mutex_unlock(&write_lock);
    errno = ENOMEM;
    return -1;
  }
  size_t kept = 0;
  int found = 0;
  for (size_t i = 0; i < count; ++i) {
    if (!is_entry_of(old[i], name, length)) {
      copy[kept++] = old[i];
    } else if (entry != NULL && !found) {
      copy[kept++] = overwrite ? entry : old[i];
      found = 1;
    }
  }
  if (entry != NULL && !found) {
    copy[kept++] = entry;
  }
  copy[kept] = NULL;
  __atomic_store_n(&environ, copy, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&write_lock);
  return 0;
}

static int is_name(const char* name) {
  if (name == NULL || *name == '\0' || strchr(name, '=') != NULL) {
    errno = EINVAL;
    return 0;
  }
  return 1;
}

TD_SHIM_EXPORT char* getenv(const char* name) {
  size_t length = strlen(name);
  for (char** entry = td_shim_environment(); entry != NULL && *entry != NULL; ++entry) {
    if (is_entry_of(*entry, name, length)) {
      return *entry + length + 1;
    }
  }
  return NULL;
}

TD_SHIM_EXPORT char* secure_getenv(const char* name) {
  return getenv(name);
}

TD_SHIM_EXPORT int setenv(const char* name, const char* value, int overwrite) {
  if (!is_name(name)) {
    return -1;
  }
  size_t name_length = strlen(name);
  size_t value_length = strlen(value);
  char* entry = malloc(name_length + value_length + 2);
  if (entry == NULL) {
    errno = ENOMEM;
    return -1;
  }
  memcpy(entry, name, name_length);
  entry[name_length] = '=';
  memcpy(entry + name_length + 1, value, value_length + 1);
  return replace_entry(name, name_length, entry, overwrite);
}

TD_SHIM_EXPORT int unsetenv(const char* name) {
  return is_name(name) ? replace_entry(name, strlen(name), NULL, 1) : -1;
}

TD_SHIM_EXPORT int putenv(char* entry) {
  const char* equals = strchr(entry, '=');
  if (equals == NULL) {
    return unsetenv(entry);
  }
  return replace_entry(entry, (size_t)(equals - entry), entry, 1);
}

TD_SHIM_EXPORT int clearenv(void) {
  static char* empty[1];
  pthread_mutex_lock(&write_lock);
  __atomic_store_n(&environ, empty, __ATOMIC_RELEASE);
  pthread_mutex_unlock(&write_lock);
  return 0;
}
