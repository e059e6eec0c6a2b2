// Any bytes as an archive's manifest.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/src/manifest_parser.h"
#include "server/datatype.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/status.h"

#include "tests/fuzz/rule.h"

namespace torchdeploy::fuzz {

namespace {

bool IsName(const std::string& text) {
  const auto is_allowed = [](unsigned char c) {
    return c < 0x80 && (std::isalnum(c) != 0 || c == '_' || c == '.' || c == '-');
  };
  return !text.empty() && text[0] != '.' && text[0] != '-' && std::ranges::all_of(text, is_allowed);
}

void RequireAllowed(const std::vector<TensorSpec>& specs, std::optional<int64_t> batch_dimension) {
  std::set<std::string> names;
  for (const TensorSpec& spec : specs) {
    Require(!spec.name.empty() && names.insert(spec.name).second, "each name is there, and once");
    Require(spec.datatype.empty() || spec.datatype == server::kBytes ||
                server::DataTypeNamed(spec.datatype).has_value(),
            "a datatype is one of the protocol");
    if (spec.shape.has_value()) {
      Require(std::ranges::all_of(*spec.shape, [](int64_t extent) { return extent >= -1; }),
              "extents are -1 or more");
      Require(!batch_dimension.has_value() ||
                  *batch_dimension < static_cast<int64_t>(spec.shape->size()),
              "each tensor has the batch's dimension");
    }
  }
}

// As docs/manifest.md says.
void Check(std::string_view json) {
  const Result<Manifest> manifest = ParseManifest(json);
  if (!manifest.ok()) {
    Require(manifest.status().code() == Code::kInvalidArgument, "it is INVALID_ARGUMENT");
    Require(!manifest.status().message().empty(), "a refusal says why");
    Require(manifest.status().message().size() < 1024, "a refusal is short");
    return;
  }
  Require(IsName(manifest->name) && IsName(manifest->version), "names are allowed");
  Require(manifest->batch_dimension.value_or(0) >= 0, "the batch's dimension is 0 or more");
  RequireAllowed(manifest->inputs, manifest->batch_dimension);
  RequireAllowed(manifest->outputs, manifest->batch_dimension);
  for (const auto& [name, method] : manifest->methods) {
    Require(IsName(name), "names of methods are allowed");
    RequireAllowed(method.inputs, {});
    RequireAllowed(method.outputs, {});
  }
  Require(manifest->json == json, "the record is kept as it is");
}

}  // namespace

}  // namespace torchdeploy::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  torchdeploy::fuzz::Check({reinterpret_cast<const char*>(data), size});
  return 0;
}
