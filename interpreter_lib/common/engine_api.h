// How an engine answers td_engine_get_api().
#pragma once

#include "interpreter_lib/abi/interp_abi.h"

namespace torchdeploy {

// Fills `asked` with what it has room for of `own`, or says that the versions differ, as the waist
// says.
td_code FillApi(const td_engine_api& own, td_engine_api* asked);

}  // namespace torchdeploy
