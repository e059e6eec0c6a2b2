// Which of two versions is the later one.
#pragma once

#include <string>

namespace torchdeploy::server {

// "10" after "9": shorter numbers are smaller; what is no number comes before all numbers.
struct VersionOrder {
  bool operator()(const std::string& a, const std::string& b) const;
};

}  // namespace torchdeploy::server
