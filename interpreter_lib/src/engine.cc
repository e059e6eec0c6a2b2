// The CPython engine: the function table of the waist.
#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/dlpack_tensor.h"
#include "interpreter_lib/common/engine_api.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/common/value_tree.h"
#include "interpreter_lib/src/call_state.h"
#include "interpreter_lib/src/interpreter_entry.h"
#include "interpreter_lib/src/interpreter_start.h"
#include "interpreter_lib/src/interruption.h"
#include "interpreter_lib/src/object_table.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"
#include "interpreter_lib/src/python_memory.h"
#include "interpreter_lib/src/release_queue.h"
#include "interpreter_lib/src/value_crossing.h"

// Made once and never destroyed, as its interpreter.
struct td_engine {
  explicit td_engine(const td_options& options)
      : releases(options.releases_pending, options.context),
        intra_op_threads(options.intra_op_threads) {}

  torchdeploy::CrossingContext crossing() {
    return {objects, releases, functions.numpy_as_plain.get()};
  }

  torchdeploy::ReleaseQueue releases;
  torchdeploy::ObjectTable objects;
  torchdeploy::Interruption interruption{releases};
  const int intra_op_threads;
  torchdeploy::EngineFunctions functions;  // Constant once the engine has started.
};

namespace torchdeploy {
namespace {

// Runs `body`, and turns whatever it throws into an error of the waist.
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
    return ReportError({TD_INTERNAL, std::string("in the engine: ") + failure.what()}, error);
  } catch (...) {
    return ReportError({TD_INTERNAL, "an unknown C++ exception in the engine"}, error);
  }
}

// Runs `body` inside the interpreter, which no Python exception leaves.
template <typename Body>
td_code Enter(td_engine* engine, td_error* error, Body body) noexcept {
  return Guard(error, [&] {
    const InterpreterEntry entry(engine->releases);
    try {
      const Interruption::Operation operation(engine->interruption);
      body();
    } catch (const PythonError& failure) {
      throw DescribePythonError(failure, engine->functions.describe.get());
    }
  });
}

// The same for a body that runs a model's code, which must not leave its settings behind.
template <typename Body>
td_code EnterModel(td_engine* engine, td_error* error, Body body) noexcept {
  return Enter(engine, error, [&] {
    const CallState state(*engine->functions.settings, engine->intra_op_threads);
    body();
  });
}

PyRef Name(const char* text, const char* what) {
  if (text == nullptr) {
    throw EngineError(TD_INVALID_ARGUMENT, std::string(what) + " is null");
  }
  return TextToPython({text, std::char_traits<char>::length(text)}, Place(what));
}

// Marks the tensors whose memory something inside the interpreter still reaches. Called when
// the Python value that they came from has been dropped.
void MarkAliased(td_value* value) {
  ForEachTensor(value, 1, [](td_value& tensor) {
    tensor.flags = IsAliased(*tensor.as.tensor) ? TD_VALUE_ALIASED : 0;
  });
}

PyRef Positional(td_engine* engine, const td_arguments& arguments) {
  PyRef tuple = Take(PyTuple_New(static_cast<Py_ssize_t>(arguments.positional_size)));
  for (size_t i = 0; i < arguments.positional_size; ++i) {
    const std::string name = "argument " + std::to_string(i);
    PyRef item = ToPython(engine->crossing(), arguments.positional[i], Place(name));
    PyTuple_SET_ITEM(tuple.get(), static_cast<Py_ssize_t>(i), item.release());
  }
  return tuple;
}

PyRef Keywords(td_engine* engine, const td_arguments& arguments) {
  if (arguments.keyword_size == 0) {
    return {};
  }
  PyRef dict = Take(PyDict_New());
  for (size_t i = 0; i < arguments.keyword_size; ++i) {
    const td_text& text = arguments.keywords[i];
    const PyRef name = TextToPython(text, Place("the name of a keyword argument"));
    const std::string place = "argument \"" + std::string(text.data, text.size_bytes) + "\"";
    if (PyDict_Contains(dict.get(), name.get()) == 1) {
      throw EngineError(TD_INVALID_ARGUMENT, place + " is given twice");
    }
    const PyRef value = ToPython(engine->crossing(), arguments.keyword_values[i], Place(place));
    Check(PyDict_SetItem(dict.get(), name.get(), value.get()));
  }
  return dict;
}

PyRef CallPython(td_engine* engine, td_object callable, const td_arguments& arguments) {
  // Restored before the result is converted, so that no mode of the model sees that.
  const CallState state(*engine->functions.settings, engine->intra_op_threads);
  const PyRef function = engine->objects.Get(callable);
  const PyRef positional = Positional(engine, arguments);
  const PyRef keywords = Keywords(engine, arguments);
  return Take(PyObject_Call(function.get(), positional.get(), keywords.get()));
}

// `result`, whose reference is dropped, as a value for the host.
td_value Finish(td_engine* engine, PyRef result, td_want want, const Place& place) {
  ValueTree tree;
  if (want == TD_WANT_OBJECT) {
    tree.root()->as.object = engine->objects.Add(std::move(result));
    tree.root()->kind = TD_KIND_OBJECT;
    return tree.Release();
  }
  FromPython(engine->crossing(), result.get(), place, tree.root());
  result = PyRef();
  MarkAliased(tree.root());
  return tree.Release();
}

td_code Create(const td_options* options, td_engine** out, td_error* error) {
  return Guard(error, [&] {
    if (options->size < sizeof(td_options) || options->python == nullptr ||
        options->intra_op_threads < 1) {
      throw EngineError(TD_INVALID_ARGUMENT,
                        "td_options must be of this version, name a Python and give at least one "
                        "intra-op thread");
    }
    auto engine = std::make_unique<td_engine>(*options);
    InitializePython(*options);
    try {
      LoadEngineFunctions(*options, &engine->functions);
    } catch (const PythonError& failure) {
      // This thread stays inside an interpreter that did not start: nobody else will enter.
      throw DescribePythonError(failure, engine->functions.describe.get());
    }
    engine->interruption.SetException(engine->functions.interruption);
    LeaveAfterStart();
    *out = engine.release();
  });
}

void Stop(td_engine* engine) {
  {
    const InterpreterEntry entry(engine->releases);
    PyRef::Take(PyObject_CallNoArgs(engine->functions.stop.get()));
    PyErr_Clear();
  }
  StopFreeingThreadStates();
  engine->releases.Close();
}

td_code OpenPackage(td_engine* engine, const char* name, td_value* archive, td_object* out,
                    td_error* error) {
  const TakenTensors taken(archive, 1);
  return EnterModel(engine, error, [&] {
    const PyRef bytes = ToPython(engine->crossing(), *archive, Place("the archive"));
    const PyRef archive_name = Name(name, "the name of an archive");
    PyRef importer = Take(PyObject_CallFunctionObjArgs(engine->functions.open_package.get(),
                                                       archive_name.get(), bytes.get(), nullptr));
    *out = engine->objects.Add(std::move(importer), engine->functions.free_closed);
  });
}

td_code LoadPickle(td_engine* engine, td_object importer, const td_pickle* pickle,
                   td_value* archive, td_object* out, td_error* error) {
  const TakenTensors taken(archive, 1);
  return EnterModel(engine, error, [&] {
    const PyRef bytes = ToPython(engine->crossing(), *archive, Place("the archive"));
    const PyRef object = engine->objects.Get(importer);
    const PyRef package_name = Name(pickle->package, "the package of a pickle");
    const PyRef resource_name = Name(pickle->resource, "the resource of a pickle");
    *out = engine->objects.Add(Take(PyObject_CallFunctionObjArgs(
        engine->functions.load_pickle.get(), object.get(), package_name.get(), resource_name.get(),
        bytes.get(), nullptr)));
  });
}

// The submodule, when the module has no such name yet, as `from module import name` does.
PyRef ImportFrom(const PyRef& module, const PyRef& name) {
  const PyRef names = Take(PyTuple_Pack(1, name.get()));
  const PyRef imported = Take(
      PyImport_ImportModuleLevelObject(module.get(), nullptr, nullptr, names.get(), /*level=*/0));
  PyRef found = PyRef::Take(PyObject_GetAttr(imported.get(), name.get()));
  if (!found && PyErr_ExceptionMatches(PyExc_AttributeError) != 0) {
    PyErr_Clear();
    PyErr_Format(PyExc_ImportError, "cannot import name %R from %R", name.get(), module.get());
  }
  return Take(found.release());
}

td_code Global(td_engine* engine, const char* module, const char* name, td_object* out,
               td_error* error) {
  return EnterModel(engine, error, [&] {
    const PyRef module_name = Name(module, "the name of a module");
    const PyRef global_name = Name(name, "the name of a global");
    *out = engine->objects.Add(ImportFrom(module_name, global_name));
  });
}

td_code Attribute(td_engine* engine, td_object object, const char* name, td_object* out,
                  td_error* error) {
  return EnterModel(engine, error, [&] {
    const PyRef owner = engine->objects.Get(object);
    const PyRef attribute_name = Name(name, "the name of an attribute");
    *out = engine->objects.Add(Take(PyObject_GetAttr(owner.get(), attribute_name.get())));
  });
}

td_code HasAttribute(td_engine* engine, td_object object, const char* name, int32_t* out,
                     td_error* error) {
  return EnterModel(engine, error, [&] {
    const PyRef owner = engine->objects.Get(object);
    const PyRef attribute_name = Name(name, "the name of an attribute");
    const PyRef found = PyRef::Take(PyObject_GetAttr(owner.get(), attribute_name.get()));
    if (!found && PyErr_ExceptionMatches(PyExc_AttributeError) == 0) {
      ThrowPythonError();
    }
    PyErr_Clear();
    *out = found ? 1 : 0;
  });
}

td_code Call(td_engine* engine, td_object callable, td_arguments* arguments, td_want want,
             td_value* out, td_error* error) {
  const TakenTensors positional(arguments->positional, arguments->positional_size);
  const TakenTensors keywords(arguments->keyword_values, arguments->keyword_size);
  return Enter(engine, error, [&] {
    *out = Finish(engine, CallPython(engine, callable, *arguments), want, Place("result"));
  });
}

td_code ToValue(td_engine* engine, td_object object, td_value* out, td_error* error) {
  return EnterModel(engine, error, [&] {
    *out = Finish(engine, engine->objects.Get(object), TD_WANT_VALUE, Place("object"));
  });
}

td_code FromValue(td_engine* engine, td_value* value, td_object* out, td_error* error) {
  const TakenTensors taken(value, 1);
  return EnterModel(engine, error, [&] {
    *out = engine->objects.Add(ToPython(engine->crossing(), *value, Place("value")));
  });
}

td_code RegisterModule(td_engine* engine, const char* name, const char* source, td_error* error) {
  return EnterModel(engine, error, [&] {
    const PyRef module_name = Name(name, "the name of a module");
    const PyRef module_source = Name(source, "the source of a module");
    Take(PyObject_CallFunctionObjArgs(engine->functions.register_module.get(), module_name.get(),
                                      module_source.get(), nullptr));
  });
}

// None when there is no importer.
PyRef ImporterOrNone(td_engine* engine, td_object importer) {
  return importer == 0 ? PyRef::Share(Py_None) : engine->objects.Get(importer);
}

td_code Pickle(td_engine* engine, td_object object, td_object importer, td_value* out,
               td_error* error) {
  return EnterModel(engine, error, [&] {
    const PyRef value = engine->objects.Get(object);
    const PyRef names = ImporterOrNone(engine, importer);
    PyRef pickled = Take(PyObject_CallFunctionObjArgs(engine->functions.pickle.get(), value.get(),
                                                      names.get(), nullptr));
    *out = Finish(engine, std::move(pickled), TD_WANT_VALUE, Place("pickled object"));
  });
}

td_code Unpickle(td_engine* engine, td_object importer, td_value* pickled, td_object* out,
                 td_error* error) {
  const TakenTensors taken(pickled, 1);
  return EnterModel(engine, error, [&] {
    const PyRef names = ImporterOrNone(engine, importer);
    const PyRef data = ToPython(engine->crossing(), *pickled, Place("pickled object"));
    *out = engine->objects.Add(Take(PyObject_CallFunctionObjArgs(
        engine->functions.unpickle.get(), names.get(), data.get(), nullptr)));
  });
}

void Interrupt(td_engine* engine) {
  engine->interruption.Request();
}

void Reset(td_engine* engine) {
  const InterpreterEntry entry(engine->releases);
  engine->objects.Clear();
  PyRef::Take(PyObject_CallNoArgs(engine->functions.reset.get()));
  PyErr_Clear();
}

void ReleaseObject(td_engine* engine, td_object object) {
  if (auto removed = engine->objects.Remove(object)) {
    engine->releases.Push(std::move(removed));
  }
}

void FreeValue(td_engine* /*engine*/, td_value* value) {
  FreeTree(value);
}

void Collect(td_engine* engine) {
  const InterpreterEntry entry(engine->releases);
}

void Usage(td_engine* /*engine*/, td_usage* out) {
  ReadLockWaits(*out);
  out->python_bytes = PythonBytes();
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
}  // namespace torchdeploy

extern "C" __attribute__((visibility("default"))) td_code td_engine_get_api(td_engine_api* api) {
  return torchdeploy::FillApi(torchdeploy::kApi, api);
}
