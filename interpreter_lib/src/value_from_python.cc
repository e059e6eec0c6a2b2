// Values that leave the interpreter: Python to td_value.
#include <Python.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/engine_error.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/common/value_tree.h"
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

// "module.Name", or what C knows of it.
std::string TypeName(PyObject* object) {
  auto* const type = reinterpret_cast<PyObject*>(Py_TYPE(object));
  const PyRef module = PyRef::Take(PyObject_GetAttrString(type, "__module__"));
  const PyRef name = PyRef::Take(PyObject_GetAttrString(type, "__qualname__"));
  std::string text = Py_TYPE(object)->tp_name;
  if (module && name && PyUnicode_Check(module.get()) != 0) {
    const PyRef full = PyRef::Take(PyUnicode_FromFormat("%U.%S", module.get(), name.get()));
    const char* const utf8 = full ? PyUnicode_AsUTF8(full.get()) : nullptr;
    text = utf8 != nullptr ? utf8 : text;
  }
  PyErr_Clear();
  return text;
}

int64_t ToInt64(PyObject* object, const Place& place) {
  int overflow = 0;
  const long long integer = PyLong_AsLongLongAndOverflow(object, &overflow);
  if (overflow != 0) {
    Refuse(place, "an int outside the 64-bit range cannot cross");
  }
  return integer;
}

std::string_view ToUtf8(PyObject* object, const Place& place) {
  Py_ssize_t size = 0;
  const char* const data = PyUnicode_AsUTF8AndSize(object, &size);
  if (data == nullptr) {
    PyErr_Clear();
    Refuse(place, "a str with a lone surrogate has no UTF-8 form and cannot cross");
  }
  return {data, static_cast<size_t>(size)};
}

// The kind is set last, when what it stands for is there to be freed.
void SetText(td_value* out, td_kind kind, std::string_view text) {
  out->as.text = NewText(text);
  out->kind = kind;
}

bool FromNumber(PyObject* object, const Place& place, td_value* out) {
  if (PyBool_Check(object)) {
    *out = {TD_KIND_BOOL, 0, {.boolean = object == Py_True}};
  } else if (PyLong_Check(object)) {
    *out = {TD_KIND_INT, 0, {.integer = ToInt64(object, place)}};
  } else if (PyFloat_Check(object)) {
    *out = {TD_KIND_FLOAT, 0, {.real = PyFloat_AS_DOUBLE(object)}};
  } else if (PyComplex_Check(object)) {
    *out = {TD_KIND_COMPLEX,
            0,
            {.complex = {PyComplex_RealAsDouble(object), PyComplex_ImagAsDouble(object)}}};
  } else {
    return false;
  }
  return true;
}

bool FromText(PyObject* object, const Place& place, td_value* out) {
  if (PyUnicode_Check(object)) {
    SetText(out, TD_KIND_STR, ToUtf8(object, place));
  } else if (PyBytes_Check(object)) {
    SetText(out, TD_KIND_BYTES,
            {PyBytes_AS_STRING(object), static_cast<size_t>(PyBytes_GET_SIZE(object))});
  } else if (const auto named = NameOfTorchObject(object)) {
    SetText(out, named->kind, named->name);
  } else {
    return false;
  }
  return true;
}

void FromSequence(const CrossingContext& context, PyObject* object, const Place& place,
                  td_value* out) {
  // A snapshot: converting an element can run Python code that changes the list.
  const PyRef items = Take(PySequence_Tuple(object));
  const auto size = static_cast<size_t>(PyTuple_GET_SIZE(items.get()));
  out->as.sequence = NewSequence(size);
  out->kind = PyTuple_Check(object) ? TD_KIND_TUPLE : TD_KIND_LIST;
  for (size_t i = 0; i < size; ++i) {
    FromPython(context, PyTuple_GET_ITEM(items.get(), static_cast<Py_ssize_t>(i)),
               place.At(static_cast<int64_t>(i)), &out->as.sequence.items[i]);
  }
}

void FromItem(const CrossingContext& context, PyObject* item, const Place& place, td_value* key,
              td_value* value) {
  if (!PyTuple_Check(item) || PyTuple_GET_SIZE(item) != 2) {
    Refuse(place, "items() of this dict gives no pairs");
  }
  PyObject* const name = PyTuple_GET_ITEM(item, 0);
  std::optional<Place> at;
  if (PyUnicode_Check(name)) {
    const std::string_view text = ToUtf8(name, place);
    SetText(key, TD_KIND_STR, text);
    at = place.At(text);
  } else if (PyLong_Check(name) && !PyBool_Check(name)) {
    *key = {TD_KIND_INT, 0, {.integer = ToInt64(name, place)}};
    at = place.At(key->as.integer);
  } else {
    Refuse(place, "a dict key of type " + TypeName(name) + " cannot cross; str and int can");
  }
  FromPython(context, PyTuple_GET_ITEM(item, 1), *at, value);
}

void FromDict(const CrossingContext& context, PyObject* object, const Place& place, td_value* out) {
  // items(), not the C table: a subclass keeps an order of its own.
  const PyRef items = Take(PyMapping_Items(object));
  const auto size = static_cast<size_t>(PyList_GET_SIZE(items.get()));
  out->as.dict = NewDict(size);
  out->kind = TD_KIND_DICT;
  for (size_t i = 0; i < size; ++i) {
    FromItem(context, PyList_GET_ITEM(items.get(), static_cast<Py_ssize_t>(i)), place,
             &out->as.dict.keys[i], &out->as.dict.values[i]);
  }
}

bool FromContainer(const CrossingContext& context, PyObject* object, const Place& place,
                   td_value* out) {
  if (PyList_Check(object) || PyTuple_Check(object)) {
    FromSequence(context, object, place, out);
  } else if (PyDict_Check(object)) {
    FromDict(context, object, place, out);
  } else {
    return false;
  }
  return true;
}

// Anything else: numpy's, or what cannot cross.
void FromNumpy(const CrossingContext& context, PyObject* object, const Place& place,
               td_value* out) {
  const PyRef result = Take(PyObject_CallOneArg(context.numpy_as_plain, object));
  PyObject* plain = nullptr;
  const char* reason = nullptr;
  if (PyArg_ParseTuple(result.get(), "Oz", &plain, &reason) == 0) {
    ThrowPythonError();
  }
  if (reason != nullptr) {
    Refuse(place, TypeName(object) + " cannot cross; " + reason);
  }
  FromPython(context, plain, place, out);
}

}  // namespace

void FromPython(const CrossingContext& context, PyObject* object, const Place& place,
                td_value* out) {
  if (place.depth() > kMaxDepth) {
    Refuse(place, "nested deeper than " + std::to_string(kMaxDepth) +
                      " levels, or contains itself; it cannot cross");
  }
  if (object == Py_None) {
    return;
  }
  if (IsTensor(object)) {
    out->as.tensor = ExportTensor(object, context.releases, place);
    out->kind = TD_KIND_TENSOR;
    return;
  }
  if (FromNumber(object, place, out) || FromText(object, place, out) ||
      FromContainer(context, object, place, out)) {
    return;
  }
  FromNumpy(context, object, place, out);
}

}  // namespace torchdeploy
