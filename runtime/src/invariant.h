// What happens when a rule that callers must keep was broken.
#pragma once

#include <string_view>

namespace torchdeploy {

// Writes `what` to stderr and aborts. For broken invariants only: bad input is a Status.
[[noreturn]] void AbortBroken(std::string_view what);

}  // namespace torchdeploy
