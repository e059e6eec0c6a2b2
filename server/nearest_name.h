// What somebody may have meant by a name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace torchdeploy::server {

// The one of `names` that takes the fewest letters added, left out or changed to become `name`.
// REQUIRES: !names.empty().
std::string_view NearestName(std::string_view name, const std::vector<std::string_view>& names);

}  // namespace torchdeploy::server
