// Values that enter the interpreter: td_value to Python.
#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/python_error.h"
#include "interpreter_lib/src/tensor_crossing.h"
#include "interpreter_lib/src/torch_names.h"
#include "interpreter_lib/src/value_crossing.h"

namespace torchdeploy {
namespace {

[[noreturn]] void Refuse(const Place& place, const std::string& reason) {
  throw EngineError(TD_INVALID_ARGUMENT, place.ToString() + ": " + reason);
}

std::string_view View(const td_text& text) {
  return text.size_bytes == 0 ? std::string_view() : std::string_view(text.data, text.size_bytes);
}

PyRef TorchObject(td_kind kind, const td_text& text, const Place& place) {
  const TorchName name{kind, std::string(View(text))};
  PyRef object = TorchObjectOfName(name);
  if (!object) {
    const char* const what = kind == TD_KIND_DEVICE  ? "device"
                             : kind == TD_KIND_DTYPE ? "dtype"
                                                     : "layout";
    Refuse(place, "torch has no " + std::string(what) + " \"" + name.name + "\"");
  }
  return object;
}

PyRef TensorToPython(td_value& value, const Place& place) {
  if (value.as.tensor == nullptr) {
    Refuse(place, "a tensor without DLManagedTensorVersioned");
  }
  return ImportTensor(std::exchange(value.as.tensor, nullptr), place);
}

PyRef ListToPython(const CrossingContext& context, const td_sequence& items, const Place& place) {
  PyRef list = Take(PyList_New(static_cast<Py_ssize_t>(items.size)));
  for (size_t i = 0; i < items.size; ++i) {
    PyRef item = ToPython(context, items.items[i], place.At(static_cast<int64_t>(i)));
    PyList_SET_ITEM(list.get(), static_cast<Py_ssize_t>(i), item.release());
  }
  return list;
}

void AddToDict(const CrossingContext& context, PyObject* dict, const td_value& key, td_value& value,
               const Place& place) {
  PyRef name;
  std::optional<Place> at;
  if (key.kind == TD_KIND_STR) {
    name = TextToPython(key.as.text, place);
    at = place.At(View(key.as.text));
  } else if (key.kind == TD_KIND_INT) {
    name = Take(PyLong_FromLongLong(key.as.integer));
    at = place.At(key.as.integer);
  } else {
    Refuse(place, "a dict key of kind " + std::to_string(key.kind) + "; str and int can cross");
  }
  const PyRef item = ToPython(context, value, *at);
  Check(PyDict_SetItem(dict, name.get(), item.get()));
}

PyRef DictToPython(const CrossingContext& context, const td_dict& items, const Place& place) {
  PyRef dict = Take(PyDict_New());
  for (size_t i = 0; i < items.size; ++i) {
    AddToDict(context, dict.get(), items.keys[i], items.values[i], place);
  }
  return dict;
}

}  // namespace

PyRef TextToPython(const td_text& text, const Place& place) {
  const std::string_view view = View(text);
  PyRef str =
      PyRef::Take(PyUnicode_DecodeUTF8(view.data(), static_cast<Py_ssize_t>(view.size()), nullptr));
  if (!str) {
    PyErr_Clear();
    Refuse(place, "text that is not UTF-8");
  }
  return str;
}

PyRef ToPython(const CrossingContext& context, td_value& value, const Place& place) {
  if (place.depth() > kMaxDepth) {
    Refuse(place, "nested deeper than " + std::to_string(kMaxDepth) + " levels");
  }
  switch (value.kind) {
    case TD_KIND_NONE:
      return PyRef::Share(Py_None);
    case TD_KIND_BOOL:
      return Take(PyBool_FromLong(value.as.boolean));
    case TD_KIND_INT:
      return Take(PyLong_FromLongLong(value.as.integer));
    case TD_KIND_FLOAT:
      return Take(PyFloat_FromDouble(value.as.real));
    case TD_KIND_COMPLEX:
      return Take(PyComplex_FromDoubles(value.as.complex[0], value.as.complex[1]));
    case TD_KIND_STR:
      return TextToPython(value.as.text, place);
    case TD_KIND_BYTES:
      return Take(PyBytes_FromStringAndSize(value.as.text.data,
                                            static_cast<Py_ssize_t>(value.as.text.size_bytes)));
    case TD_KIND_DEVICE:
    case TD_KIND_DTYPE:
    case TD_KIND_LAYOUT:
      return TorchObject(value.kind, value.as.text, place);
    case TD_KIND_TENSOR:
      return TensorToPython(value, place);
    case TD_KIND_LIST:
      return ListToPython(context, value.as.sequence, place);
    case TD_KIND_TUPLE: {
      const PyRef list = ListToPython(context, value.as.sequence, place);
      return Take(PyList_AsTuple(list.get()));
    }
    case TD_KIND_DICT:
      return DictToPython(context, value.as.dict, place);
    case TD_KIND_OBJECT:
      return context.objects.Get(value.as.object);
  }
  Refuse(place, "kind " + std::to_string(value.kind) + " is not a td_kind");
}

}  // namespace torchdeploy
