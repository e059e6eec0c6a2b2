// Values across the waist: td_value to Python and back.
#pragma once

#include <Python.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/src/object_table.h"
#include "interpreter_lib/src/py_ref.h"
#include "interpreter_lib/src/release_queue.h"

namespace torchdeploy {

// What crossing needs of its interpreter.
struct CrossingContext {
  ObjectTable& objects;
  ReleaseQueue& releases;
  PyObject* numpy_as_plain;  // torchdeploy_engine.numpy_values.as_plain
};

// Both functions are called inside the interpreter and throw EngineError, naming `place` and
// what was expected, or PythonError.

// Each tensor that is taken from `value` is set to null in it. In value_to_python.cc.
PyRef ToPython(const CrossingContext& context, td_value& value, const Place& place);

// `text` as a str, which must be UTF-8. In value_to_python.cc.
PyRef TextToPython(const td_text& text, const Place& place);

// Fills `out`, which is None before and belongs to a ValueTree: after a failure it holds a
// part. Does not set TD_VALUE_ALIASED. In value_from_python.cc.
void FromPython(const CrossingContext& context, PyObject* object, const Place& place,
                td_value* out);

}  // namespace torchdeploy
