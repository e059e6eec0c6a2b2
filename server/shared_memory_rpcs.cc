#include "server/shared_memory_rpcs.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

#include "server/shared_memory_region.h"
#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

namespace {

// Brackets may be percent-encoded.
constexpr std::array<std::string_view, 6> kLocalPeers = {
    "unix:", "unix-abstract:", "ipv4:127.", "ipv6:[::1]", "ipv6:%5B::1%5D", "ipv6:[::ffff:127."};

}  // namespace

bool IsOnThisMachine(const std::string& peer) {
  return std::any_of(kLocalPeers.begin(), kLocalPeers.end(),
                     [&](std::string_view prefix) { return peer.starts_with(prefix); });
}

Status RegisterSystemMemory(const inference::SystemSharedMemoryRegisterRequest& request,
                            SharedMemoryRegions& regions) {
  return regions.Register(request.name(), {request.key(), request.offset(), request.byte_size()});
}

Status DescribeSystemMemory(const std::string& name, const SharedMemoryRegions& regions,
                            inference::SystemSharedMemoryStatusResponse* response) {
  for (const auto& [each, region] : regions.All()) {
    if (!name.empty() && name != each) {
      continue;
    }
    auto& status = (*response->mutable_regions())[each];
    status.set_name(each);
    status.set_key(region->place().key);
    status.set_offset(region->place().offset);
    status.set_byte_size(region->place().size_bytes);
  }
  if (!name.empty() && response->regions().empty()) {
    return {Code::kNotFound, "shared memory region '" + name + "' is not registered"};
  }
  return {};
}

Status RegisterCudaMemory() {
  return {Code::kUnimplemented, "this server takes no CUDA shared memory: use the system's"};
}

}  // namespace torchdeploy::server
