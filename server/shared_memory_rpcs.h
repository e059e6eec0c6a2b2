// The RPCs of shared memory, system's and CUDA's.
#pragma once

#include <string>

#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// `peer`: as gRPC names the client. kPermissionDenied for one that is not on this machine, for
// which memory of this machine can only be somebody else's; else as SharedMemoryRegions.
Status RegisterSystemMemory(const std::string& peer,
                            const inference::SystemSharedMemoryRegisterRequest& request,
                            SharedMemoryRegions& regions);

// kNotFound for a name that is not registered; an empty one is all.
Status DescribeSystemMemory(const std::string& name, const SharedMemoryRegions& regions,
                            inference::SystemSharedMemoryStatusResponse* response);

// kUnimplemented: this server takes none.
Status RegisterCudaMemory();

}  // namespace torchdeploy::server
