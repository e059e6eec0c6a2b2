#include "server/shared_memory_regions.h"

#include <cstddef>
#include <cstdint>
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

namespace {

constexpr size_t kLongestName = 1024;
constexpr size_t kMostRegions = 256;  // Each has a file descriptor.

}  // namespace

Status SharedMemoryRegions::Register(const std::string& name, const RegionPlace& place) {
  if (!takes_any()) {
    return {Code::kPermissionDenied, why_refused_};
  }
  if (name.empty() || name.size() > kLongestName) {
    return {Code::kInvalidArgument, "the name of a shared memory region has " +
                                        std::to_string(name.size()) + " bytes; 1 to " +
                                        std::to_string(kLongestName) + " are expected"};
  }
  Result<std::shared_ptr<const SharedMemoryRegion>> region = SharedMemoryRegion::Open(place);
  if (!region.ok()) {
    return region.status();
  }
  const std::lock_guard lock(mutex_);
  if (regions_.size() >= kMostRegions) {
    return {Code::kResourceExhausted, std::to_string(kMostRegions) +
                                          " shared memory regions are registered: drop some first"};
  }
  if (!regions_.emplace(name, *std::move(region)).second) {
    return {Code::kAlreadyExists, "shared memory region '" + name + "' is registered already"};
  }
  return {};
}

void SharedMemoryRegions::Unregister(const std::string& name) {
  Regions dropped;  // They are closed after the lock.
  const std::lock_guard lock(mutex_);
  if (name.empty()) {
    dropped.swap(regions_);
  } else if (auto region = regions_.extract(name); !region.empty()) {
    dropped.insert(std::move(region));
  }
}

SharedMemoryRegions::Regions SharedMemoryRegions::All() const {
  const std::lock_guard lock(mutex_);
  return regions_;
}

std::shared_ptr<const SharedMemoryRegion> SharedMemoryRegions::Find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = regions_.find(name);
  return found == regions_.end() ? nullptr : found->second;
}

Result<std::optional<MemorySlice>> SharedMemoryRegions::SliceOf(
    const ParameterMap& parameters) const {
  const auto parameter = parameters.find(kRegionParameter);
  if (parameter == parameters.end()) {
    return std::optional<MemorySlice>();
  }
  const Result<uint64_t> offset = ReadCount(parameters, kOffsetParameter);
  const Result<uint64_t> size_bytes = ReadCount(parameters, kSizeParameter);
  if (!offset.ok() || !size_bytes.ok()) {
    return offset.ok() ? size_bytes.status() : offset.status();
  }
  const std::string& name = parameter->second.string_param();
  std::shared_ptr<const SharedMemoryRegion> region = Find(name);
  if (region == nullptr) {
    return Status(Code::kInvalidArgument, "shared memory region '" + name + "' is not registered");
  }
  const uint64_t whole_bytes = region->place().size_bytes;
  if (*offset > whole_bytes || *size_bytes > whole_bytes - *offset) {
    return Status(Code::kInvalidArgument, "shared memory region '" + name + "' has " +
                                              std::to_string(whole_bytes) + " bytes; " +
                                              std::to_string(*size_bytes) + " from " +
                                              std::to_string(*offset) + " on are asked for");
  }
  return std::optional(MemorySlice{name, std::move(region), *offset, *size_bytes});
}

Result<OutputSlices> SharedMemoryRegions::SlicesOfOutputs(
    const inference::ModelInferRequest& request) const {
  OutputSlices slices;
  for (const auto& output : request.outputs()) {
    const Result<std::optional<MemorySlice>> found = SliceOf(output.parameters());
    if (!found.ok()) {
      return Status(found.status().code(),
                    "output '" + output.name() + "': " + found.status().message());
    }
    if (const std::optional<MemorySlice>& slice = *found; slice.has_value()) {
      slices.emplace(output.name(), *slice);
    }
  }
  return slices;
}

}  // namespace torchdeploy::server
