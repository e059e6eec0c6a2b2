// Names in a message.
#pragma once

#include <functional>
#include <string>

namespace torchdeploy::server {

// The names, separated by commas; "none" when there are none. `name` gives an item's.
template <typename Items, typename Name = std::identity>
std::string JoinNames(const Items& items, Name name = {}) {
  std::string text;
  for (const auto& item : items) {
    text.append(text.empty() ? "" : ", ").append(std::invoke(name, item));
  }
  return text.empty() ? "none" : text;
}

}  // namespace torchdeploy::server
