// An engine behind the waist without Python or torch, for tests of the host.
//
// open_package() accepts any bytes. load_pickle() ignores `package`; `resource`
// chooses what the model does. "Keyword or first positional" arguments may be given either way.
//
// | resource     | a call returns                                                         |
// | ------------ | ---------------------------------------------------------------------- |
// | echo.pkl     | the only positional argument, else a dict of the keyword arguments;    |
// |              | tensors are the caller's own memory                                    |
// | entry.pkl    | a dict of the keyword arguments                                        |
// | double.pkl   | {"y": 2 * x}, a new tensor, of the float32 tensor x; TypeError for any |
// |              | other, ValueError for a NaN in it                                      |
// | model.pkl    | the same                                                               |
// | sleep.pkl    | as echo.pkl, after `milliseconds` (an int or an int tensor's first)    |
// | fail.pkl     | never: raises ValueError(message), `message` str, bytes or a list of   |
// |              | such; with a traceback                                                 |
// | flaky.pkl    | as echo.pkl, but loading it fails while fake.fail_next_load() is armed |
// | hang.pkl     | as echo.pkl, once fake.release() is called in any interpreter after    |
// |              | the call began; interrupt() does not end it                            |
// | loop.pkl     | never: is cancelled by interrupt()                                     |
// | slot.pkl     | the interpreter's slot; with keyword arguments {"slot": INT64 [1]}     |
// | count.pkl    | the calls of models in this interpreter so far, itself included; with  |
// |              | keyword arguments {"count": INT64 [1]}                                 |
// | alias.pkl    | a float32 tensor of shape [4], flagged TD_VALUE_ALIASED, filled with   |
// |              | that count and overwritten by the next call; with keyword arguments    |
// |              | {"y": it}                                                              |
// | items.pkl    | never: its methods are those of a model that yields (docs/manifest.md) |
// |              | `items` (an int or an int tensor's first) times {"item": INT64 [1]},   |
// |              | counted from 0. Item 100 raises ValueError; when `items` is negative,  |
// |              | item 1 is cancelled by interrupt()                                     |
// | any other    | loading fails with TD_NOT_FOUND (missing.pkl, by custom)               |
//
// Two calls of models at once in one interpreter abort the process.
//
// | global("fake", name)  | a call returns                                                |
// | --------------------- | ------------------------------------------------------------- |
// | identity              | as echo.pkl                                                   |
// | live_objects          | objects alive in this interpreter, functions not counted      |
// | live_tensors          | tensors of this process that crossed and are not deleted yet  |
// | open_streams          | streams of items.pkl in this process that were not ended      |
// | hanging, release      | calls that hang now in this process; None, and ends them      |
// | created               | interpreters of this process so far                           |
// | collects              | collect() calls of this process                               |
// | fail_create(slot)     | None, and the next create() of that slot fails (TD_INTERNAL)  |
// | fail_next_load        | None, and the next load of flaky.pkl fails                    |
//
// A registered module has one name, `source`, a str. Another module is ModuleNotFoundError,
// another name AttributeError. A dict has its str keys as attributes. What pickle() gives of a
// value is the value. Releases are queued, announced by releases_pending and done by the
// next function that enters or by collect(), as the CPython engine does it. stop() writes
// "fake engine: interpreter SLOT stopped" to stderr and aborts on another thread than create()'s.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "interpreter_lib/abi/interp_abi.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/fakes/fake_models.h"
#include "tests/fakes/fake_values.h"

namespace {

using torchdeploy::Code;
using torchdeploy::Dict;
using torchdeploy::Result;
using torchdeploy::Status;
using torchdeploy::Value;
using torchdeploy::fakes::FakeArguments;
using torchdeploy::fakes::FakeInterpreter;
using torchdeploy::fakes::FakeProcess;

struct Importer {};
struct Model {
  std::string resource;
  Value archive;  // Kept alive, as the tensors of a pickle keep it.
};
struct Function {
  std::string name;
};
using Object = std::variant<Importer, Model, Function, Value>;

}  // namespace

struct td_engine {
  FakeInterpreter interpreter;
  const std::thread::id thread = std::this_thread::get_id();
  void* context = nullptr;
  void (*releases_pending)(void* context) = nullptr;

  std::mutex mutex;
  // Guarded by mutex.
  std::map<std::string, std::string> modules;  // Name to source.
  std::map<td_object, std::shared_ptr<const Object>> objects;
  td_object last_object = 0;
  std::vector<td_object> releases;
};

namespace {

struct ErrorText {
  std::string type;
  std::string message;
  std::string traceback;
};

td_code Fail(const Status& status, td_error* error) {
  auto text =
      std::make_unique<ErrorText>(ErrorText{status.type(), status.message(), status.traceback()});
  error->code = static_cast<td_code>(status.code());
  error->type = text->type.c_str();
  error->message = text->message.c_str();
  error->traceback = text->traceback.c_str();
  error->owner = text.release();
  return error->code;
}

Status Raise(const std::string& type, const std::string& message) {
  return {Code::kUnknown, message, type, "Traceback (most recent call last):\n" + type + "\n"};
}

// Does the queued releases, as everything does that enters.
void Enter(td_engine* engine) {
  std::vector<std::shared_ptr<const Object>> released;  // They go after the lock.
  const std::lock_guard lock(engine->mutex);
  for (const td_object id : engine->releases) {
    if (auto found = engine->objects.find(id); found != engine->objects.end()) {
      released.push_back(std::move(found->second));
      engine->objects.erase(found);
    }
  }
  engine->releases.clear();
}

td_object Keep(td_engine* engine, Object object) {
  const std::lock_guard lock(engine->mutex);
  engine->objects[++engine->last_object] = std::make_shared<const Object>(std::move(object));
  return engine->last_object;
}

std::shared_ptr<const Object> Find(td_engine* engine, td_object id) {
  const std::lock_guard lock(engine->mutex);
  const auto found = engine->objects.find(id);
  return found == engine->objects.end() ? nullptr : found->second;
}

Status NoObject(td_object id) {
  return {Code::kInternal, "object " + std::to_string(id) + " is not alive"};
}

int64_t LiveObjects(td_engine* engine) {
  const std::lock_guard lock(engine->mutex);
  int64_t live = 0;
  for (const auto& [id, object] : engine->objects) {
    live += std::holds_alternative<Function>(*object) ? 0 : 1;
  }
  return live;
}

td_code Create(const td_options* options, td_engine** out, td_error* error) {
  int64_t slot = options->slot;
  if (FakeProcess::Get().fail_create_of_slot.compare_exchange_strong(slot, -1)) {
    return Fail({Code::kInternal, "create() was told to fail"}, error);
  }
  auto engine = std::make_unique<td_engine>();
  engine->interpreter.slot = options->slot;
  engine->context = options->context;
  engine->releases_pending = options->releases_pending;
  FakeProcess::Get().created.fetch_add(1);
  *out = engine.release();
  return TD_OK;
}

void Stop(td_engine* engine) {
  const unsigned slot = engine->interpreter.slot;
  if (engine->thread != std::this_thread::get_id()) {
    std::fprintf(stderr, "fake engine: interpreter %u is stopped on a foreign thread\n", slot);
    std::abort();
  }
  std::fprintf(stderr, "fake engine: interpreter %u stopped\n", slot);
}

td_code OpenPackage(td_engine* engine, const char* /*name*/, td_value* archive, td_object* out,
                    td_error* error) {
  Enter(engine);
  const Result<Value> bytes = torchdeploy::fakes::Import(*archive);
  if (!bytes.ok()) {
    return Fail(bytes.status(), error);
  }
  *out = Keep(engine, Importer());
  return TD_OK;
}

td_code LoadPickle(td_engine* engine, td_object importer, const td_pickle* pickle,
                   td_value* archive, td_object* out, td_error* error) {
  const std::string resource = pickle->resource;
  Enter(engine);
  const Result<Value> bytes = torchdeploy::fakes::Import(*archive);
  if (!bytes.ok()) {
    return Fail(bytes.status(), error);
  }
  const auto object = Find(engine, importer);
  if (object == nullptr || !std::holds_alternative<Importer>(*object)) {
    return Fail(NoObject(importer), error);
  }
  if (!torchdeploy::fakes::IsModel(resource)) {
    return Fail({Code::kNotFound, "there is no pickle " + resource}, error);
  }
  if (resource == "flaky.pkl" && FakeProcess::Get().fail_next_load.exchange(false)) {
    return Fail(Raise("UnpicklingError", "load_pickle() was told to fail"), error);
  }
  *out = Keep(engine, Model{resource, *bytes});
  return TD_OK;
}

std::optional<std::string> SourceOf(td_engine* engine, const std::string& module) {
  const std::lock_guard lock(engine->mutex);
  const auto found = engine->modules.find(module);
  return found == engine->modules.end() ? std::nullopt : std::optional(found->second);
}

td_code Global(td_engine* engine, const char* module, const char* name, td_object* out,
               td_error* error) {
  Enter(engine);
  if (const std::optional<std::string> source = SourceOf(engine, module);
      source.has_value() && std::string(name) == "source") {
    *out = Keep(engine, Value(*source));
    return TD_OK;
  }
  if (std::string(module) != "fake") {
    return Fail(Raise("ModuleNotFoundError", std::string("No module named '") + module + "'"),
                error);
  }
  if (!torchdeploy::fakes::IsFunction(name)) {
    return Fail(Raise("AttributeError", std::string("fake has no '") + name + "'"), error);
  }
  *out = Keep(engine, Function{name});
  return TD_OK;
}

// Of a model, a model of a longer name; of a dict, its item. Nothing when there is none.
std::optional<Object> FindAttribute(const Object& object, const std::string& name) {
  if (const auto* const model = std::get_if<Model>(&object)) {
    const std::string method = torchdeploy::fakes::MethodOf(model->resource, name);
    const bool is_there = torchdeploy::fakes::IsModel(method);
    return is_there ? std::optional<Object>(Model{method, model->archive}) : std::nullopt;
  }
  const auto* const value = std::get_if<Value>(&object);
  const auto* const dict = value == nullptr ? nullptr : value->get<Dict>();
  if (dict == nullptr) {
    return std::nullopt;
  }
  for (const auto& [key, item] : *dict) {
    if (const auto* const text = key.get<std::string>(); text != nullptr && *text == name) {
      return item;
    }
  }
  return std::nullopt;
}

td_code Attribute(td_engine* engine, td_object id, const char* name, td_object* out,
                  td_error* error) {
  Enter(engine);
  const auto object = Find(engine, id);
  if (object == nullptr) {
    return Fail(NoObject(id), error);
  }
  std::optional<Object> attribute = FindAttribute(*object, name);
  if (!attribute.has_value()) {
    return Fail(Raise("AttributeError", std::string("no attribute '") + name + "'"), error);
  }
  *out = Keep(engine, *std::move(attribute));
  return TD_OK;
}

td_code HasAttribute(td_engine* engine, td_object id, const char* name, int32_t* out,
                     td_error* error) {
  Enter(engine);
  const auto object = Find(engine, id);
  if (object == nullptr) {
    return Fail(NoObject(id), error);
  }
  *out = FindAttribute(*object, name).has_value() ? 1 : 0;
  return TD_OK;
}

Result<Value> ImportArgument(td_engine* engine, td_value& value) {
  if (value.kind != TD_KIND_OBJECT) {
    return torchdeploy::fakes::Import(value);
  }
  const auto object = Find(engine, value.as.object);
  const auto* const held = object == nullptr ? nullptr : std::get_if<Value>(object.get());
  if (held == nullptr) {
    return NoObject(value.as.object);
  }
  return *held;
}

// Takes all tensors, also when it fails, as the waist demands.
Status ImportArguments(td_engine* engine, td_arguments* in, FakeArguments& out) {
  Status failure;
  for (size_t i = 0; i < in->positional_size; ++i) {
    Result<Value> value = ImportArgument(engine, in->positional[i]);
    if (value.ok()) {
      out.positional.push_back(*std::move(value));
    } else {
      failure = value.status();
    }
  }
  for (size_t i = 0; i < in->keyword_size; ++i) {
    Result<Value> value = ImportArgument(engine, in->keyword_values[i]);
    if (value.ok()) {
      out.keywords.emplace_back(std::string(in->keywords[i].data, in->keywords[i].size_bytes),
                                *std::move(value));
    } else {
      failure = value.status();
    }
  }
  return failure;
}

td_code Call(td_engine* engine, td_object callable, td_arguments* arguments, td_want want,
             td_value* out, td_error* error) {
  Enter(engine);
  FakeArguments imported;
  const Status status = ImportArguments(engine, arguments, imported);
  const auto object = Find(engine, callable);
  if (!status.ok() || object == nullptr) {
    return Fail(status.ok() ? NoObject(callable) : status, error);
  }
  const auto* const model = std::get_if<Model>(object.get());
  const auto* const function = std::get_if<Function>(object.get());
  if (model == nullptr && function == nullptr) {
    return Fail(Raise("TypeError", "object is not callable"), error);
  }
  Result<Value> result =
      model != nullptr
          ? torchdeploy::fakes::CallModel(model->resource, engine->interpreter, imported)
          : torchdeploy::fakes::CallFunction(function->name, LiveObjects(engine), imported);
  if (!result.ok()) {
    return Fail(result.status(), error);
  }
  if (want == TD_WANT_OBJECT) {
    out->kind = TD_KIND_OBJECT;
    out->as.object = Keep(engine, *std::move(result));
    return TD_OK;
  }
  const bool aliased = model != nullptr && model->resource == "alias.pkl";
  torchdeploy::fakes::Export(*result, aliased ? TD_VALUE_ALIASED : 0, *out);
  return TD_OK;
}

td_code ToValue(td_engine* engine, td_object id, td_value* out, td_error* error) {
  Enter(engine);
  const auto object = Find(engine, id);
  const auto* const value = object == nullptr ? nullptr : std::get_if<Value>(object.get());
  if (value == nullptr) {
    return Fail({Code::kInvalidArgument, "this object cannot cross"}, error);
  }
  torchdeploy::fakes::Export(*value, 0, *out);
  return TD_OK;
}

td_code FromValue(td_engine* engine, td_value* value, td_object* out, td_error* error) {
  Enter(engine);
  Result<Value> imported = torchdeploy::fakes::Import(*value);
  if (!imported.ok()) {
    return Fail(imported.status(), error);
  }
  *out = Keep(engine, *std::move(imported));
  return TD_OK;
}

td_code RegisterModule(td_engine* engine, const char* name, const char* source,
                       td_error* /*error*/) {
  Enter(engine);
  const std::lock_guard lock(engine->mutex);
  engine->modules[name] = source;
  return TD_OK;
}

td_code Pickle(td_engine* engine, td_object object, td_object /*importer*/, td_value* out,
               td_error* error) {
  return ToValue(engine, object, out, error);
}

td_code Unpickle(td_engine* engine, td_object /*importer*/, td_value* pickled, td_object* out,
                 td_error* error) {
  return FromValue(engine, pickled, out, error);
}

void Interrupt(td_engine* engine) {
  engine->interpreter.is_interrupted = engine->interpreter.is_calling.load();
}

void Reset(td_engine* engine) {
  Enter(engine);
  std::map<td_object, std::shared_ptr<const Object>> dropped;  // They go after the lock.
  const std::lock_guard lock(engine->mutex);
  dropped.swap(engine->objects);
  engine->modules.clear();
}

void ReleaseObject(td_engine* engine, td_object object) {
  bool is_first = false;
  {
    const std::lock_guard lock(engine->mutex);
    is_first = engine->releases.empty();
    engine->releases.push_back(object);
  }
  if (is_first) {
    engine->releases_pending(engine->context);
  }
}

void FreeValue(td_engine* /*engine*/, td_value* value) {
  torchdeploy::fakes::Free(*value);
}

void FreeError(td_error* error) {
  const std::unique_ptr<ErrorText> owned(static_cast<ErrorText*>(error->owner));
}

void Collect(td_engine* engine) {
  Enter(engine);
  FakeProcess::Get().collects.fetch_add(1);
}

// Figures that tell the slots apart.
void Usage(td_engine* engine, td_usage* out) {
  const uint64_t slot = engine->interpreter.slot;
  *out = {.lock_wait_ns = 1000 + slot,
          .lock_waits = {slot, 1, 0, 0, 0, 0, 0, 7},
          .python_bytes = 2000 + slot};
}

}  // namespace

extern "C" __attribute__((visibility("default"))) td_code td_engine_get_api(td_engine_api* api) {
  if (api->abi_major != TD_ABI_MAJOR || api->size < sizeof(td_engine_api)) {
    api->abi_major = TD_ABI_MAJOR;
    api->abi_minor = TD_ABI_MINOR;
    return TD_FAILED_PRECONDITION;
  }
  *api = {TD_ABI_MAJOR,  TD_ABI_MINOR,   sizeof(td_engine_api),
          Create,        Stop,           OpenPackage,
          LoadPickle,    Global,         Attribute,
          HasAttribute,  Call,           ToValue,
          FromValue,     RegisterModule, Pickle,
          Unpickle,      Interrupt,      Reset,
          ReleaseObject, FreeValue,      FreeError,
          Collect,       Usage};
  return TD_OK;
}
