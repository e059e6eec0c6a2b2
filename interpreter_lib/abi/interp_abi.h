/* The waist: the whole contract between the host and one engine.

   An engine is a shared library that exports td_engine_get_api() and nothing else.
   The CPython engine is loaded once per interpreter, each time as a private copy
   with its own libpython and libtorch; the native engine is loaded once, and its
   interpreters run TorchScript and compiled code on one libtorch, without Python. So no
   C++ type, exception, vtable or Python object may cross this line: plain C data and
   function pointers only.

   Versioning: a new slot at the end of a table is a minor bump, anything else a
   major one. Both sides fill and use only the slots that `size` covers.

   Threads: create(), reset() and stop() are called on one thread, the interpreter's own,
   which lives until the process ends. Every other function may be called on any
   thread, several at once. release_object(), interrupt(), the deleters of tensors and
   free_error() never wait for an interpreter's lock (a GIL): what needs it is queued
   inside the engine and done by the next function that enters the interpreter, or by
   collect().

   Failure: every fallible function returns TD_OK or a code, and then has filled
   `error` (never null), which the caller gives back with free_error(). Outputs are
   written only on success. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <dlpack/dlpack.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TD_ABI_MAJOR 4u
#define TD_ABI_MINOR 0u

/* Numerically equal to gRPC's canonical codes. */
typedef enum td_code {
  TD_OK = 0,
  TD_CANCELLED = 1,
  TD_UNKNOWN = 2, /* the model's own exception */
  TD_INVALID_ARGUMENT = 3,
  TD_DEADLINE_EXCEEDED = 4,
  TD_NOT_FOUND = 5,
  TD_ALREADY_EXISTS = 6,
  TD_PERMISSION_DENIED = 7,
  TD_RESOURCE_EXHAUSTED = 8,
  TD_FAILED_PRECONDITION = 9,
  TD_ABORTED = 10,
  TD_OUT_OF_RANGE = 11,
  TD_UNIMPLEMENTED = 12,
  TD_INTERNAL = 13,
  TD_UNAVAILABLE = 14,
  TD_DATA_LOSS = 15
} td_code;

/* Why a function failed. All strings are UTF-8, never null, owned by the engine. */
typedef struct td_error {
  td_code code;
  const char* type;      /* Python exception type, qualified unless builtin; or "" */
  const char* message;   /* one sentence; str(exception) for a Python exception */
  const char* traceback; /* formatted Python traceback; or "" */
  void* owner;           /* the engine's, for free_error() */
} td_error;

typedef enum td_kind {
  TD_KIND_NONE = 0,
  TD_KIND_BOOL = 1,
  TD_KIND_INT = 2, /* a Python int outside int64 cannot cross */
  TD_KIND_FLOAT = 3,
  TD_KIND_COMPLEX = 4,
  TD_KIND_STR = 5, /* UTF-8; may hold NUL bytes */
  TD_KIND_BYTES = 6,
  TD_KIND_DEVICE = 7, /* str(torch.device), such as "cuda:0" */
  TD_KIND_DTYPE = 8,  /* a torch dtype's name without "torch.", such as "float32" */
  TD_KIND_LAYOUT = 9, /* a torch layout's name without "torch.", such as "strided" */
  TD_KIND_TENSOR = 10,
  TD_KIND_LIST = 11,
  TD_KIND_TUPLE = 12,
  TD_KIND_DICT = 13,  /* keys are STR or INT; insertion order is kept */
  TD_KIND_OBJECT = 14 /* an object of this interpreter, by id */
} td_kind;

/* A Python object kept alive inside one engine; 0 is no object. Ids are not reused. */
typedef uint64_t td_object;

/* On a tensor that leaves the engine: something inside the interpreter can still write
   to its memory (a buffer, an input, another output), so its contents are stable only
   until the interpreter takes its next call; those of a buffer of the native engine, whose
   interpreters share them, while none of them writes to it. */
#define TD_VALUE_ALIASED 1u

typedef struct td_value td_value;

typedef struct td_text {
  const char* data;
  size_t size_bytes;
} td_text;

typedef struct td_sequence {
  td_value* items;
  size_t size;
} td_sequence;

typedef struct td_dict {
  td_value* keys;
  td_value* values;
  size_t size;
} td_dict;

/* A tree of plain data. Into an engine everything is borrowed for the call, but for
   tensors: the engine owns each of them from the moment of the call, also when it
   fails, and sets the pointer to null. Out of an engine everything is owned by the
   engine until free_value(); a caller that keeps a tensor sets its pointer to null. */
struct td_value {
  td_kind kind;
  uint32_t flags;
  union {
    int32_t boolean;
    int64_t integer;
    double real;
    double complex[2];
    td_text text; /* STR, BYTES, DEVICE, DTYPE, LAYOUT */
    struct DLManagedTensorVersioned* tensor;
    td_sequence sequence; /* LIST, TUPLE */
    td_dict dict;
    td_object object;
  } as;
};

/* What one interpreter is made with. Borrowed during create(), but for `context`. */
typedef struct td_options {
  size_t size;              /* sizeof(td_options) as the caller was compiled */
  uint32_t slot;            /* index of the interpreter; torch.version.interp */
  int32_t intra_op_threads; /* >= 1, of torch's intra-op parallelism per call */
  const char* python;       /* path of the Python executable whose packages are used */
  void* context;
  /* Called on any thread, with or without a GIL, when the first item enters an empty
     queue of releases: call collect() some time soon, not from within. Must not block. */
  void (*releases_pending)(void* context);
} td_options;

typedef struct td_arguments {
  td_value* positional;
  size_t positional_size;
  const td_text* keywords; /* names, UTF-8 */
  td_value* keyword_values;
  size_t keyword_size;
} td_arguments;

/* Where an archive keeps a pickle: a record of that name in that package. */
typedef struct td_pickle {
  const char* package;
  const char* resource;
} td_pickle;

typedef enum td_want {
  TD_WANT_VALUE = 0, /* convert the result; a result that cannot cross is an error */
  TD_WANT_OBJECT = 1 /* keep the result inside; the value is a TD_KIND_OBJECT */
} td_want;

#define TD_LOCK_WAIT_BUCKETS 8

/* What an interpreter has used so far. */
typedef struct td_usage {
  /* Waits of the host's operations for the interpreter's lock (the GIL): their sum, and how many
     of at most 10^i us are not in a bucket before bucket i. The last has all longer ones. */
  uint64_t lock_wait_ns;
  uint64_t lock_waits[TD_LOCK_WAIT_BUCKETS];
  uint64_t python_bytes; /* held now by Python's own allocators: objects and code, no tensors */
} td_usage;

/* One interpreter. */
typedef struct td_engine td_engine;

typedef struct td_engine_api {
  uint32_t abi_major;
  uint32_t abi_minor;
  size_t size; /* sizeof(td_engine_api) as the caller was compiled */

  td_code (*create)(const td_options* options, td_engine** out, td_error* error);
  /* Runs Python's atexit handlers and flushes its streams. Nothing but free_error() and
     tensor deleters may be called afterwards. An interpreter is never unloaded. */
  void (*stop)(td_engine* engine);

  /* Opens an archive of a format that the engine runs; of torch.package *out is its
     PackageImporter. `archive` is a tensor, uint8 of shape [n] on the CPU, of the archive's
     bytes, which nobody changes; `name` is what messages call it. Fails with TD_DATA_LOSS when
     it is no such archive, and with TD_FAILED_PRECONDITION when its manifest asks for other
     versions than are installed, and then names each, or when torch cannot load it. */
  td_code (*open_package)(td_engine* engine, const char* name, td_value* archive, td_object* out,
                          td_error* error);
  /* importer.load_pickle(pickle->package, pickle->resource). Without Python "model", "model.pkl"
     is the model, and "torchdeploy", "entry.pkl" the model as a server calls it. `archive` is a
     tensor as above, of the same bytes: the object's tensors are views of it, where the archive's
     records are stored as they are, and may write to it. Fails with TD_ALREADY_EXISTS when the
     archive defines a torch.library operator that another open archive defines differently. */
  td_code (*load_pickle)(td_engine* engine, td_object importer, const td_pickle* pickle,
                         td_value* archive, td_object* out, td_error* error);

  /* `from module import name`. */
  td_code (*global)(td_engine* engine, const char* module, const char* name, td_object* out,
                    td_error* error);
  td_code (*attribute)(td_engine* engine, td_object object, const char* name, td_object* out,
                       td_error* error);
  td_code (*has_attribute)(td_engine* engine, td_object object, const char* name, int32_t* out,
                           td_error* error);
  td_code (*call)(td_engine* engine, td_object callable, td_arguments* arguments, td_want want,
                  td_value* out, td_error* error);
  td_code (*to_value)(td_engine* engine, td_object object, td_value* out, td_error* error);
  td_code (*from_value)(td_engine* engine, td_value* value, td_object* out, td_error* error);

  /* Makes `import name` run `source`, where no module of that name was imported yet; `name` may
     be dotted. Fails with TD_UNKNOWN, type SyntaxError, when it does not compile. */
  td_code (*register_module)(td_engine* engine, const char* name, const char* source,
                             td_error* error);

  /* The object as plain data that unpickle() of any interpreter takes: its tensors' storages are
     shared, not copied. Names of the archive that `importer` (0: none) opened are looked up in
     it, all others in the installed modules. */
  td_code (*pickle)(td_engine* engine, td_object object, td_object importer, td_value* out,
                    td_error* error);
  /* `importer`: of the same archive as the importer of pickle(). */
  td_code (*unpickle)(td_engine* engine, td_object importer, td_value* pickled, td_object* out,
                      td_error* error);

  /* Makes the operation that runs on the interpreter's own thread fail soon, with TD_CANCELLED,
     unless its code catches what is raised or stays in native code. Does nothing when none runs. */
  void (*interrupt)(td_engine* engine);

  /* Makes the interpreter as good as new: drops all objects, forgets the registered modules, and
     takes back what was added to sys.path and the modules that came from there.
     REQUIRES: nothing else runs in the interpreter. */
  void (*reset)(td_engine* engine);

  /* Drops an object. An id that is not alive is ignored. */
  void (*release_object)(td_engine* engine, td_object object);
  void (*free_value)(td_engine* engine, td_value* value);
  void (*free_error)(td_error* error);
  /* Enters the interpreter and does the queued releases. */
  void (*collect)(td_engine* engine);

  /* Never waits, whatever runs. */
  void (*usage)(td_engine* engine, td_usage* out);
} td_engine_api;

/* The only exported symbol. The caller sets abi_major, abi_minor and size; the engine
   fills the rest, or returns TD_FAILED_PRECONDITION when it does not speak that major
   version, having set abi_major and abi_minor to its own. */
td_code td_engine_get_api(td_engine_api* api);

#ifdef __cplusplus
}
#endif
