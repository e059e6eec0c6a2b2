// The RPCs of shared memory, system's and CUDA's.
#pragma once

#include <string>

#include "server/shared_memory_regions.h"
#include "torchdeploy/status.h"

#include "open_inference_grpc.pb.h"

namespace torchdeploy::server {

// `peer`: as gRPC names a client. Memory that another machine's client names can only be somebody
// else's.
bool IsOnThisMachine(const std::string& peer);

// Errors as SharedMemoryRegions.
Status RegisterSystemMemory(const inference::SystemSharedMemoryRegisterRequest& request,
                            SharedMemoryRegions& regions);

// kNotFound for a name that is not registered; an empty one is all.
Status DescribeSystemMemory(const std::string& name, const SharedMemoryRegions& regions,
                            inference::SystemSharedMemoryStatusResponse* response);

// kUnimplemented: this server takes none.
Status RegisterCudaMemory();

}  // namespace torchdeploy::server
