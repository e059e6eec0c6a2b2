// Values across the waist: td_value to TorchScript's IValue and back.
#pragma once

#include <ATen/core/ivalue.h>
#include <ATen/core/jit_type.h>

#include "interpreter_lib/abi/interp_abi.h"
#include "interpreter_lib/common/place.h"
#include "interpreter_lib/native/native_object.h"

namespace torchdeploy::native {

// `value` for code that expects a `type`. Lists and dicts get the element types that are expected,
// an int becomes a float, bytes become a str, since TorchScript has no bytes. What a server makes
// of an input stands for a number, a list of numbers or one text, too: a tensor, a list of one
// text. Each tensor that is taken is set to null.
//
// Throws EngineError(TD_INVALID_ARGUMENT), naming `place` and what was expected. In
// ivalue_from_waist.cc.
c10::IValue ToIValue(td_value& value, const c10::TypePtr& type, const Place& place,
                     const FindObject& find);

// Fills `out`, which is None before and belongs to a ValueTree: after a failure it holds a part.
// Does not set TD_VALUE_ALIASED. Throws EngineError(TD_INVALID_ARGUMENT), naming `place`, for what
// cannot cross. In ivalue_to_waist.cc.
void FromIValue(const c10::IValue& value, const Place& place, td_value* out);

}  // namespace torchdeploy::native
