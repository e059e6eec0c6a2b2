// Torch's and Python's modes and settings, kept as a call found them.
#include "interpreter_lib/src/call_state.h"

#include <Python.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <ATen/ATen.h>
#include <ATen/ThreadLocalState.h>
#include <ATen/autocast_mode.h>

#include "interpreter_lib/src/intra_op_threads.h"
#include "interpreter_lib/src/py_ref.h"

namespace torchdeploy {
namespace {

int AutocastNesting() {
  const int inner = at::autocast::increment_nesting();
  at::autocast::decrement_nesting();
  return inner - 1;
}

// Autocast's switches are among torch's thread-local state; these two are not.
struct Autocast {
  bool cache_enabled = at::autocast::is_autocast_cache_enabled();
  int nesting = AutocastNesting();

  void Restore() const {
    at::autocast::set_autocast_cache_enabled(cache_enabled);
    if (AutocastNesting() == nesting) {
      return;
    }
    while (AutocastNesting() > nesting) {
      at::autocast::decrement_nesting();
    }
    at::autocast::clear_cache();
  }
};

struct Deterministic {
  bool algorithms = at::globalContext().deterministicAlgorithms();
  bool warn_only = at::globalContext().deterministicAlgorithmsWarnOnly();
  bool fill = at::globalContext().deterministicFillUninitializedMemory();
  bool cudnn = at::globalContext().deterministicCuDNN();
  bool cudnn_benchmark = at::globalContext().benchmarkCuDNN();
  bool mkldnn = at::globalContext().deterministicMkldnn();

  void Restore(PyObject* restore_algorithms) const {
    at::Context& context = at::globalContext();
    if (context.deterministicAlgorithms() != algorithms ||
        context.deterministicAlgorithmsWarnOnly() != warn_only) {
      PyRef::Take(PyObject_CallFunction(restore_algorithms, "NN", PyBool_FromLong(algorithms),
                                        PyBool_FromLong(warn_only)));
      PyErr_Clear();
    }
    context.setDeterministicFillUninitializedMemory(fill);
    context.setDeterministicCuDNN(cudnn);
    context.setBenchmarkCuDNN(cudnn_benchmark);
    context.setDeterministicMkldnn(mkldnn);
  }
};

// What torch.backends.*.fp32_precision sets; torch knows no other pairs.
using Float32Setting = std::pair<at::Float32Backend, at::Float32Op>;
constexpr std::array kFloat32Settings = {
    Float32Setting{at::Float32Backend::GENERIC, at::Float32Op::ALL},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::ALL},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::MATMUL},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::CONV},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::RNN},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::ALL},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::MATMUL},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::CONV},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::RNN},
};

using Float32Precisions = std::array<at::Float32Precision, kFloat32Settings.size()>;

Float32Precisions ReadFloat32Precisions() {
  Float32Precisions precisions{};
  for (size_t i = 0; i < precisions.size(); ++i) {
    const auto& [backend, op] = kFloat32Settings[i];
    precisions[i] = at::globalContext().float32Precision(backend, op);
  }
  return precisions;
}

// Nothing when the model mixes torch's old and new ways to set it, which torch refuses to read.
std::optional<at::Float32MatmulPrecision> ReadMatmulPrecision() {
  try {
    return at::globalContext().float32MatmulPrecision();
  } catch (const c10::Error&) {
    return std::nullopt;
  }
}

const char* NameOf(at::Float32MatmulPrecision precision) {
  switch (precision) {
    case at::Float32MatmulPrecision::HIGHEST:
      return "highest";
    case at::Float32MatmulPrecision::HIGH:
      return "high";
    case at::Float32MatmulPrecision::MEDIUM:
      return "medium";
  }
  return "highest";
}

struct Float32 {
  Float32Precisions precisions = ReadFloat32Precisions();
  std::optional<at::Float32MatmulPrecision> matmul = ReadMatmulPrecision();

  void Restore() const {
    if (matmul && ReadMatmulPrecision() != matmul) {
      at::globalContext().setFloat32MatmulPrecision(NameOf(*matmul));
    }
    const Float32Precisions now = ReadFloat32Precisions();
    for (size_t i = 0; i < now.size(); ++i) {
      if (now[i] != precisions[i]) {
        const auto& [backend, op] = kFloat32Settings[i];
        at::globalContext().setFloat32Precision(backend, op, precisions[i]);
      }
    }
  }
};

// warnings.filters: which list it is, and what it held.
struct WarningFilters {
  explicit WarningFilters(const PythonSettings& settings)
      : list(PyRef::Share(PyDict_GetItemString(settings.warnings.get(), "filters"))),
        held(PyRef::Take(list && PyList_Check(list.get()) ? PyList_AsTuple(list.get()) : nullptr)) {
  }

  void Restore(const PythonSettings& settings) const {
    if (held && !AreUnchanged(settings)) {
      PyRef::Take(PyObject_CallFunctionObjArgs(settings.restore_warning_filters.get(), list.get(),
                                               held.get(), nullptr));
      PyErr_Clear();
    }
  }

  [[nodiscard]] bool AreUnchanged(const PythonSettings& settings) const {
    if (PyDict_GetItemString(settings.warnings.get(), "filters") != list.get() ||
        PyList_GET_SIZE(list.get()) != PyTuple_GET_SIZE(held.get())) {
      return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(held.get()); ++i) {
      if (PyList_GET_ITEM(list.get(), i) != PyTuple_GET_ITEM(held.get(), i)) {
        return false;
      }
    }
    return true;
  }

  PyRef list;
  PyRef held;
};

// The default device's mode is among torch's thread-local state; these are Python's notes of it.
struct DefaultDevice {
  explicit DefaultDevice(const PythonSettings& settings)
      : current(PyRef::Share(PyDict_GetItemString(settings.device.get(), "CURRENT_DEVICE"))),
        of_thread(
            PyRef::Take(PyObject_GetAttrString(settings.global_device_context.get(), "__dict__"))),
        context(PyRef::Share(of_thread ? PyDict_GetItemString(of_thread.get(), "device_context")
                                       : nullptr)) {
    PyErr_Clear();
  }

  void Restore(const PythonSettings& settings) const {
    if (current) {
      PyDict_SetItemString(settings.device.get(), "CURRENT_DEVICE", current.get());
    }
    if (context) {
      PyDict_SetItemString(of_thread.get(), "device_context", context.get());
    } else if (of_thread && PyDict_GetItemString(of_thread.get(), "device_context") != nullptr) {
      PyDict_DelItemString(of_thread.get(), "device_context");
    }
    PyErr_Clear();
  }

  PyRef current;
  PyRef of_thread;
  PyRef context;
};

}  // namespace

struct CallState::Saved {
  Saved(const PythonSettings& settings, int intra_op_threads)
      : threads(intra_op_threads), device(settings), filters(settings) {}

  IntraOpThreads threads;  // Restores by itself.
  at::ThreadLocalState modes;
  caffe2::TypeMeta dtype = c10::get_default_dtype();
  Autocast autocast;
  Deterministic deterministic;
  Float32 float32;
  DefaultDevice device;
  WarningFilters filters;
};

CallState::CallState(const PythonSettings& settings, int intra_op_threads)
    : settings_(settings), saved_(std::make_unique<const Saved>(settings, intra_op_threads)) {}

CallState::~CallState() {
  at::ThreadLocalState::setThreadLocalState(saved_->modes);
  c10::set_default_dtype(saved_->dtype);
  saved_->autocast.Restore();
  saved_->deterministic.Restore(settings_.restore_deterministic.get());
  saved_->float32.Restore();
  saved_->device.Restore(settings_);
  saved_->filters.Restore(settings_);
}

}  // namespace torchdeploy
