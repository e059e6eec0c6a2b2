// What generated code makes of the protocol.
#pragma once

#include "open_inference_grpc.grpc.pb.h"

namespace torchdeploy::server {

using Generated = inference::GRPCInferenceService;

// The generated layers of a service, each on the next.
template <template <typename> typename First, template <typename> typename... Rest>
struct Layers {
  using Type = First<typename Layers<Rest...>::Type>;
};
template <template <typename> typename Last>
struct Layers<Last> {
  using Type = Last<Generated::Service>;
};

// Every RPC by callbacks: inferences as bytes, whose contents need not be copied, all others as
// messages.
using ServiceBase = Layers<
    Generated::WithRawCallbackMethod_ModelInfer, Generated::WithRawCallbackMethod_ModelStreamInfer,
    Generated::WithCallbackMethod_ServerLive, Generated::WithCallbackMethod_ServerReady,
    Generated::WithCallbackMethod_ModelReady, Generated::WithCallbackMethod_ServerMetadata,
    Generated::WithCallbackMethod_ModelMetadata,
    Generated::WithCallbackMethod_SystemSharedMemoryStatus,
    Generated::WithCallbackMethod_SystemSharedMemoryRegister,
    Generated::WithCallbackMethod_SystemSharedMemoryUnregister,
    Generated::WithCallbackMethod_CudaSharedMemoryStatus,
    Generated::WithCallbackMethod_CudaSharedMemoryRegister,
    Generated::WithCallbackMethod_CudaSharedMemoryUnregister,
    Generated::WithCallbackMethod_ModelConfig, Generated::WithCallbackMethod_ModelStatistics,
    Generated::WithCallbackMethod_RepositoryIndex,
    Generated::WithCallbackMethod_RepositoryModelLoad,
    Generated::WithCallbackMethod_RepositoryModelUnload, Generated::WithCallbackMethod_TraceSetting,
    Generated::WithCallbackMethod_LogSettings>::Type;

}  // namespace torchdeploy::server
