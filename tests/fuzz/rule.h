// What must hold for every input.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace torchdeploy::fuzz {

// Ends the process, which libFuzzer counts as a find, when the rule does not hold.
inline void Require(bool holds, std::string_view rule) {
  if (!holds) {
    std::fprintf(stderr, "BROKEN RULE: %.*s\n", static_cast<int>(rule.size()), rule.data());
    std::abort();
  }
}

}  // namespace torchdeploy::fuzz
