/* Each interpreter has an environment of its own.

   setenv() in one interpreter while another thread is in getenv() (or mktime(), which reads TZ)
   crashes a process. So private libraries see a copy, made when the shim is loaded. Readers take
   no lock: an entry is replaced by one store, and an array that must grow or shrink is copied.
   Nothing is ever freed, since a reader may hold it; every libc leaks so. */
#include <errno.h>
#include <pthread.h>
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

/* Entries for which the current array has room, the closing null not counted. */
static size_t capacity;

/* Returns a new array with the entries of `source`, but for the one at `skipped`, and room for
   as many again; null without memory. */
static char** copy_entries(char** source, size_t count, size_t skipped) {
  char** copy = calloc(2 * count + 2, sizeof *copy);
  size_t kept = 0;
  for (size_t i = 0; copy != NULL && i < count; ++i) {
    if (i != skipped) {
      copy[kept++] = source[i];
    }
  }
  return copy;
}

static void copy_process_environment(void) {
  char** source = *(char***)td_shim_process_symbol("environ");
  size_t count = count_entries(source);
  char** copy = copy_entries(source, count, count);
  if (copy == NULL) {
    abort();
  }
  for (size_t i = 0; i < count; ++i) {
    copy[i] = strdup(source[i]);
    if (copy[i] == NULL) {
      abort();
    }
  }
  capacity = 2 * count + 1;
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

/* The index of the entry of that name, or the number of entries. */
static size_t find_entry(char** entries, const char* name, size_t length) {
  size_t i = 0;
  while (entries[i] != NULL && !is_entry_of(entries[i], name, length)) {
    ++i;
  }
  return i;
}

static int publish_copy(char** entries, size_t count, size_t skipped) {
  char** copy = copy_entries(entries, count, skipped);
  if (copy == NULL) {
    errno = ENOMEM;
    return -1;
  }
  capacity = 2 * count + 1;
  __atomic_store_n(&environ, copy, __ATOMIC_RELEASE);
  return 0;
}

/* Puts `entry` ("NAME=value", kept) in the place of the entry of that name, or behind all. */
static int put_entry(const char* name, size_t length, char* entry, int overwrite) {
  int result = 0;
  pthread_mutex_lock(&write_lock);
  size_t at = find_entry(td_shim_environment(), name, length);
  if (at == capacity) {
    result = publish_copy(environ, at, at);
  }
  if (result == 0 && (environ[at] == NULL || overwrite)) {
    __atomic_store_n(&environ[at], entry, __ATOMIC_RELEASE);
  }
  pthread_mutex_unlock(&write_lock);
  return result;
}

static int remove_entry(const char* name, size_t length) {
  int result = 0;
  pthread_mutex_lock(&write_lock);
  char** entries = td_shim_environment();
  size_t at = find_entry(entries, name, length);
  if (entries[at] != NULL) {
    result = publish_copy(entries, count_entries(entries), at);
  }
  pthread_mutex_unlock(&write_lock);
  return result;
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
  const char* old = getenv(name);
  if (old != NULL && (!overwrite || strcmp(old, value) == 0)) {
    return 0; /* Nothing to leak for. */
  }
  char* entry = malloc(name_length + value_length + 2);
  if (entry == NULL) {
    errno = ENOMEM;
    return -1;
  }
  memcpy(entry, name, name_length);
  entry[name_length] = '=';
  memcpy(entry + name_length + 1, value, value_length + 1);
  return put_entry(name, name_length, entry, overwrite);
}

TD_SHIM_EXPORT int unsetenv(const char* name) {
  return is_name(name) ? remove_entry(name, strlen(name)) : -1;
}

TD_SHIM_EXPORT int putenv(char* entry) {
  const char* equals = strchr(entry, '=');
  if (equals == NULL) {
    return unsetenv(entry);
  }
  return put_entry(entry, (size_t)(equals - entry), entry, 1);
}

TD_SHIM_EXPORT int clearenv(void) {
  pthread_mutex_lock(&write_lock);
  const int result = publish_copy(td_shim_environment(), 0, 0);
  pthread_mutex_unlock(&write_lock);
  return result;
}
