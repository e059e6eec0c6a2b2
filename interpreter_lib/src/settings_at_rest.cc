#include "interpreter_lib/src/settings_at_rest.h"

#include <Python.h>

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

#include <ATen/ATen.h>

#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"

namespace torchdeploy {
namespace {

class Deterministic {
 public:
  explicit Deterministic(PyRef restore_algorithms)
      : restore_algorithms_(std::move(restore_algorithms)) {}

  void Restore() const {
    at::Context& context = at::globalContext();
    if (context.deterministicAlgorithms() != algorithms_ ||
        context.deterministicAlgorithmsWarnOnly() != warn_only_) {
      PyRef::Take(PyObject_CallFunction(restore_algorithms_.get(), "NN",
                                        PyBool_FromLong(algorithms_), PyBool_FromLong(warn_only_)));
      PyErr_Clear();
    }
    context.setDeterministicFillUninitializedMemory(fill_);
    context.setDeterministicCuDNN(cudnn_);
    context.setBenchmarkCuDNN(cudnn_benchmark_);
    context.setDeterministicMkldnn(mkldnn_);
  }

 private:
  const PyRef restore_algorithms_;
  const bool algorithms_ = at::globalContext().deterministicAlgorithms();
  const bool warn_only_ = at::globalContext().deterministicAlgorithmsWarnOnly();
  const bool fill_ = at::globalContext().deterministicFillUninitializedMemory();
  const bool cudnn_ = at::globalContext().deterministicCuDNN();
  const bool cudnn_benchmark_ = at::globalContext().benchmarkCuDNN();
  const bool mkldnn_ = at::globalContext().deterministicMkldnn();
};

// What torch.backends.*.fp32_precision sets; torch knows no other pairs.
using Float32Setting = std::pair<at::Float32Backend, at::Float32Op>;
// What operations ask for. One that is not set takes the value of a general one.
constexpr std::array kSpecificFloat32Settings = {
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::MATMUL},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::CONV},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::RNN},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::MATMUL},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::CONV},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::RNN},
};
constexpr std::array kGeneralFloat32Settings = {
    Float32Setting{at::Float32Backend::GENERIC, at::Float32Op::ALL},
    Float32Setting{at::Float32Backend::CUDA, at::Float32Op::ALL},
    Float32Setting{at::Float32Backend::MKLDNN, at::Float32Op::ALL},
};

template <size_t kCount>
class Float32Precisions {
 public:
  explicit Float32Precisions(const std::array<Float32Setting, kCount>& settings)
      : settings_(settings) {
    for (size_t i = 0; i < kCount; ++i) {
      held_[i] = Now(i);
    }
  }

  [[nodiscard]] bool AreUnchanged() const {
    for (size_t i = 0; i < kCount; ++i) {
      if (Now(i) != held_[i]) {
        return false;
      }
    }
    return true;
  }

  void Restore() const {
    for (size_t i = 0; i < kCount; ++i) {
      if (Now(i) != held_[i]) {
        const auto& [backend, op] = settings_[i];
        at::globalContext().setFloat32Precision(backend, op, held_[i]);
      }
    }
  }

 private:
  [[nodiscard]] at::Float32Precision Now(size_t i) const {
    const auto& [backend, op] = settings_[i];
    return at::globalContext().float32Precision(backend, op);
  }

  const std::array<Float32Setting, kCount>& settings_;
  std::array<at::Float32Precision, kCount> held_{};
};

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
  Float32Precisions<kGeneralFloat32Settings.size()> general{kGeneralFloat32Settings};
  Float32Precisions<kSpecificFloat32Settings.size()> specific{kSpecificFloat32Settings};
  std::optional<at::Float32MatmulPrecision> matmul = ReadMatmulPrecision();

  void Restore() const {
    const bool is_matmul_unchanged = !matmul || ReadMatmulPrecision() == matmul;
    // To look at the general ones takes as long again; what does not show here has no effect.
    if (is_matmul_unchanged && specific.AreUnchanged()) {
      return;
    }
    if (!is_matmul_unchanged) {
      at::globalContext().setFloat32MatmulPrecision(NameOf(*matmul));
    }
    general.Restore();
    specific.Restore();
  }
};

// What a Python module calls by a name.
class ModuleGlobal {
 public:
  ModuleGlobal(const char* module, const char* name)
      : dict_(PyRef::Share(PyModule_GetDict(Take(PyImport_ImportModule(module)).get()))),
        name_(Take(PyUnicode_InternFromString(name))) {}

  // Borrowed; null when there is none.
  [[nodiscard]] PyObject* Get() const { return PyDict_GetItemWithError(dict_.get(), name_.get()); }
  void Set(PyObject* value) const { PyDict_SetItem(dict_.get(), name_.get(), value); }

 private:
  PyRef dict_;
  PyRef name_;
};

// Which list it is, and what it held.
class WarningFilters {
 public:
  explicit WarningFilters(PyRef restore)
      : restore_(std::move(restore)),
        list_(PyRef::Share(filters_.Get())),
        held_(Take(PySequence_Tuple(list_.get()))) {}

  void Restore() const {
    if (!AreUnchanged()) {
      PyRef::Take(PyObject_CallFunctionObjArgs(restore_.get(), list_.get(), held_.get(), nullptr));
      PyErr_Clear();
    }
  }

 private:
  [[nodiscard]] bool AreUnchanged() const {
    if (filters_.Get() != list_.get() ||
        PyList_GET_SIZE(list_.get()) != PyTuple_GET_SIZE(held_.get())) {
      return false;
    }
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(held_.get()); ++i) {
      if (PyList_GET_ITEM(list_.get(), i) != PyTuple_GET_ITEM(held_.get(), i)) {
        return false;
      }
    }
    return true;
  }

  const PyRef restore_;
  const ModuleGlobal filters_{"warnings", "filters"};
  const PyRef list_;
  const PyRef held_;
};

// The default device's mode is among torch's thread-local state; these are Python's notes of it.
class DefaultDevice {
 public:
  void Restore() const {
    if (current_.Get() != at_rest_.get()) {
      current_.Set(at_rest_.get());
    }
    // Of this thread; a thread that has never set it has none.
    const PyRef context = PyRef::Take(PyObject_GetAttr(of_thread_.get(), context_name_.get()));
    if (context.get() != Py_None) {
      PyErr_Clear();
      PyObject_SetAttr(of_thread_.get(), context_name_.get(), Py_None);
    }
    PyErr_Clear();
  }

 private:
  const ModuleGlobal current_{"torch.utils._device", "CURRENT_DEVICE"};
  const PyRef at_rest_ = PyRef::Share(current_.Get());
  const PyRef of_thread_ = PyRef::Share(ModuleGlobal("torch", "_GLOBAL_DEVICE_CONTEXT").Get());
  const PyRef context_name_ = Take(PyUnicode_InternFromString("device_context"));
};

}  // namespace

struct SettingsAtRest::Held {
  Held(PyRef restore_warning_filters, PyRef restore_deterministic)
      : deterministic(std::move(restore_deterministic)),
        filters(std::move(restore_warning_filters)) {}

  caffe2::TypeMeta dtype = c10::get_default_dtype();
  Deterministic deterministic;
  Float32 float32;
  DefaultDevice device;
  WarningFilters filters;
};

SettingsAtRest::SettingsAtRest(PyRef restore_warning_filters, PyRef restore_deterministic)
    : held_(std::make_unique<const Held>(std::move(restore_warning_filters),
                                         std::move(restore_deterministic))) {}

SettingsAtRest::~SettingsAtRest() = default;

void SettingsAtRest::Restore() const {
  c10::set_default_dtype(held_->dtype);
  held_->deterministic.Restore();
  held_->float32.Restore();
  held_->device.Restore();
  held_->filters.Restore();
}

}  // namespace torchdeploy
