// The native engine: the function table of the waist over one libtorch, without Python.
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/dlpack_tensor.h"
#include "interpreter_lib/common/engine_api.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/intra_op_threads.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/common/value_tree.h"
#include "interpreter_lib/native/archive_object.h"
#include "interpreter_lib/native/ivalue_crossing.h"
#include "interpreter_lib/native/native_object.h"
#include "interpreter_lib/native/object_table.h"
#include "interpreter_lib/native/program_library.h"
#include "interpreter_lib/native/script_error.h"

// One slot: what the host holds, and how many threads its calls use.
struct td_engine {
  explicit td_engine(const td_options& options) : intra_op_threads(options.intra_op_threads) {}

  torchdeploy::native::FindObject finder() {
    return [this](td_object id) { return objects.Get(id); };
  }

  torchdeploy::native::ObjectTable objects;
  const int intra_op_threads;
};

namespace torchdeploy::native {
namespace {

constexpr const char* kNoPython = "this engine runs no Python: it has no ";

// Runs `body`, and turns whatever it throws into an error of the waist: what torch throws is the
// model's.
template <typename Body>
td_code Guard(td_error* error, Body body) noexcept {
  try {
    body();
    return TD_OK;
  } catch (const EngineError& failure) {
    return ReportError(failure, error);
  } catch (const std::bad_alloc&) {
    return ReportError({TD_RESOURCE_EXHAUSTED, "out of memory in the engine"}, error);
  } catch (const std::exception& failure) {
    return ReportError(DescribeModelError(failure), error);
  } catch (...) {
    return ReportError({TD_INTERNAL, "an unknown C++ exception in the engine"}, error);
  }
}

td_code Refuse(td_error* error, td_code code, const std::string& message) {
  return ReportError({code, message}, error);
}

// `result` as a value for the host.
td_value Finish(td_engine* engine, c10::IValue result, td_want want, const char* place) {
  ValueTree tree;
  if (want == TD_WANT_OBJECT) {
    tree.root()->as.object = engine->objects.Add(std::make_shared<ValueObject>(std::move(result)));
    tree.root()->kind = TD_KIND_OBJECT;
    return tree.Release();
  }
  FromIValue(result, Place(place), tree.root());
  result = c10::IValue();
  ForEachTensor(tree.root(), 1, [](td_value& tensor) {
    tensor.flags = IsAliased(*tensor.as.tensor) ? TD_VALUE_ALIASED : 0;
  });
  return tree.Release();
}

td_code Create(const td_options* options, td_engine** out, td_error* error) {
  return Guard(error, [&] {
    if (options->size < sizeof(td_options) || options->intra_op_threads < 1) {
      throw EngineError(TD_INVALID_ARGUMENT,
                        "td_options must be of this version and give at least one intra-op thread");
    }
    *out = std::make_unique<td_engine>(*options).release();
  });
}

void Stop(td_engine* /*engine*/) {}

td_code OpenPackage(td_engine* engine, const char* name, td_value* archive, td_object* out,
                    td_error* error) {
  const TakenTensors taken(archive, 1);
  return Guard(error, [&] {
    const IntraOpThreads threads(engine->intra_op_threads);
    const at::Tensor bytes =
        TensorFromDlpack(std::exchange(archive->as.tensor, nullptr), Place("the archive"));
    *out = engine->objects.Add(
        std::make_shared<ArchiveObject>(ProgramLibrary::OfProcess().Open(bytes, name)));
  });
}

td_code LoadPickle(td_engine* engine, td_object importer, const td_pickle* pickle,
                   td_value* archive, td_object* out, td_error* error) {
  const TakenTensors taken(archive, 1);
  return Guard(error, [&] {
    const auto opened = std::dynamic_pointer_cast<ArchiveObject>(engine->objects.Get(importer));
    if (opened == nullptr) {
      throw EngineError(TD_INVALID_ARGUMENT,
                        "object " + std::to_string(importer) + " is no opened archive");
    }
    *out = engine->objects.Add(opened->Load(pickle->package, pickle->resource));
  });
}

td_code Global(td_engine* /*engine*/, const char* module, const char* name, td_object* /*out*/,
               td_error* error) {
  return Refuse(error, TD_UNIMPLEMENTED, kNoPython + std::string(module) + "." + name);
}

td_code Attribute(td_engine* engine, td_object object, const char* name, td_object* out,
                  td_error* error) {
  return Guard(error, [&] {
    const NativeObjectPtr owner = engine->objects.Get(object);
    NativeObjectPtr attribute = owner->Attribute(name);
    if (attribute == nullptr) {
      throw EngineError(TD_UNKNOWN,
                        owner->Description() + " has no attribute '" + std::string(name) + "'",
                        "AttributeError", "");
    }
    *out = engine->objects.Add(std::move(attribute));
  });
}

td_code HasAttribute(td_engine* engine, td_object object, const char* name, int32_t* out,
                     td_error* error) {
  return Guard(error,
               [&] { *out = engine->objects.Get(object)->Attribute(name) != nullptr ? 1 : 0; });
}

td_code Call(td_engine* engine, td_object callable, td_arguments* arguments, td_want want,
             td_value* out, td_error* error) {
  const TakenTensors positional(arguments->positional, arguments->positional_size);
  const TakenTensors keywords(arguments->keyword_values, arguments->keyword_size);
  return Guard(error, [&] {
    const IntraOpThreads threads(engine->intra_op_threads);
    c10::IValue result = engine->objects.Get(callable)->Call(*arguments, engine->finder());
    *out = Finish(engine, std::move(result), want, "result");
  });
}

td_code ToValue(td_engine* engine, td_object object, td_value* out, td_error* error) {
  return Guard(error, [&] {
    const IntraOpThreads threads(engine->intra_op_threads);
    *out = Finish(engine, engine->objects.Get(object)->Value(), TD_WANT_VALUE, "object");
  });
}

td_code FromValue(td_engine* engine, td_value* value, td_object* out, td_error* error) {
  const TakenTensors taken(value, 1);
  return Guard(error, [&] {
    const IntraOpThreads threads(engine->intra_op_threads);
    c10::IValue made = ToIValue(*value, c10::AnyType::get(), Place("value"), engine->finder());
    *out = engine->objects.Add(std::make_shared<ValueObject>(std::move(made)));
  });
}

td_code RegisterModule(td_engine* /*engine*/, const char* name, const char* /*source*/,
                       td_error* error) {
  return Refuse(error, TD_UNIMPLEMENTED, kNoPython + std::string("module ") + name);
}

td_code Pickle(td_engine* /*engine*/, td_object /*object*/, td_object /*importer*/,
               td_value* /*out*/, td_error* error) {
  return Refuse(error, TD_UNIMPLEMENTED,
                "this engine moves no objects: load the archive, which every interpreter has");
}

td_code Unpickle(td_engine* engine, td_object importer, td_value* pickled, td_object* /*out*/,
                 td_error* error) {
  const TakenTensors taken(pickled, 1);
  return Pickle(engine, 0, importer, nullptr, error);
}

// Native code runs to its end.
void Interrupt(td_engine* /*engine*/) {}

void Reset(td_engine* engine) {
  engine->objects.Clear();
}

void ReleaseObject(td_engine* engine, td_object object) {
  engine->objects.Remove(object);
}

void FreeValue(td_engine* /*engine*/, td_value* value) {
  FreeTree(value);
}

// Nothing is queued.
void Collect(td_engine* /*engine*/) {}

void Usage(td_engine* /*engine*/, td_usage* out) {
  *out = {};
}

constexpr td_engine_api kApi = {
    .abi_major = TD_ABI_MAJOR,
    .abi_minor = TD_ABI_MINOR,
    .size = sizeof(td_engine_api),
    .create = &Create,
    .stop = &Stop,
    .open_package = &OpenPackage,
    .load_pickle = &LoadPickle,
    .global = &Global,
    .attribute = &Attribute,
    .has_attribute = &HasAttribute,
    .call = &Call,
    .to_value = &ToValue,
    .from_value = &FromValue,
    .register_module = &RegisterModule,
    .pickle = &Pickle,
    .unpickle = &Unpickle,
    .interrupt = &Interrupt,
    .reset = &Reset,
    .release_object = &ReleaseObject,
    .free_value = &FreeValue,
    .free_error = &FreeError,
    .collect = &Collect,
    .usage = &Usage,
};

}  // namespace
}  // namespace torchdeploy::native

extern "C" __attribute__((visibility("default"))) td_code td_engine_get_api(td_engine_api* api) {
  return torchdeploy::FillApi(torchdeploy::native::kApi, api);
}
