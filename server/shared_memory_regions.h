// The shared memory that clients have registered, by name.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "server/request_parameters.h"
#include "server/shared_memory_region.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// A part of a region, for one tensor.
struct MemorySlice {
  std::string region_name;
  std::shared_ptr<const SharedMemoryRegion> region;
  uint64_t offset = 0;  // In the region.
  uint64_t size_bytes = 0;
};

// By the name of the output.
using OutputSlices = std::map<std::string, MemorySlice>;

// Parameters of an input or output that is in shared memory.
inline constexpr const char* kRegionParameter = "shared_memory_region";
inline constexpr const char* kOffsetParameter = "shared_memory_offset";
inline constexpr const char* kSizeParameter = "shared_memory_byte_size";

// Thread-safe. A region stays usable for whoever got it.
class SharedMemoryRegions {
 public:
  using Regions = std::map<std::string, std::shared_ptr<const SharedMemoryRegion>>;

  SharedMemoryRegions() = default;
  // `why_refused`: why none may be registered.
  explicit SharedMemoryRegions(std::string why_refused) : why_refused_(std::move(why_refused)) {}

  [[nodiscard]] bool takes_any() const { return why_refused_.empty(); }

  // kPermissionDenied when none may be. kAlreadyExists: there is one of this name.
  // kResourceExhausted: there are too many. kInvalidArgument: a name without letters, or a very
  // long one. Otherwise as SharedMemoryRegion::Open().
  Status Register(const std::string& name, const RegionPlace& place);
  // No error when there is none of this name; an empty one is all.
  void Unregister(const std::string& name);
  [[nodiscard]] Regions All() const;

  // What the parameters say; nothing without the
  // first. kInvalidArgument: a region that is not registered, or no part of it.
  [[nodiscard]] Result<std::optional<MemorySlice>> SliceOf(const ParameterMap& parameters) const;
  // Of the outputs that the request asks for. Errors as SliceOf().
  [[nodiscard]] Result<OutputSlices> SlicesOfOutputs(
      const inference::ModelInferRequest& request) const;

 private:
  // Null when there is none.
  [[nodiscard]] std::shared_ptr<const SharedMemoryRegion> Find(const std::string& name) const;

  const std::string why_refused_;
  mutable std::mutex mutex_;
  Regions regions_;  // Guarded by mutex_.
};

}  // namespace torchdeploy::server
