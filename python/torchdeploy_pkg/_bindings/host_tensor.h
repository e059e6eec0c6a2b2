// A tensor that a library of the host's Python has produced.
#pragma once

#include <memory>
#include <type_traits>

#include <dlpack/dlpack.h>

#include "torchdeploy/tensor.h"

#include "python/torchdeploy_pkg/_bindings/owner_releases.h"

namespace torchdeploy {

// What the producer handed over, in either form of DLPack, and what the runtime sees of it.
template <typename Managed>
struct HostTensor : HostOwned {
  explicit HostTensor(Managed* produced) : original(produced) {
    view.version = {DLPACK_MAJOR_VERSION, DLPACK_MINOR_VERSION};
    view.flags = 0;
    if constexpr (std::is_same_v<Managed, DLManagedTensorVersioned>) {
      view.flags = original->flags;
    }
    view.dl_tensor = original->dl_tensor;
    view.manager_ctx = this;
    view.deleter = [](DLManagedTensorVersioned* self) {
      OwnerReleases::OfProcess().Push(
          std::unique_ptr<HostOwned>(static_cast<HostTensor*>(self->manager_ctx)));
    };
  }
  ~HostTensor() override {
    if (original->deleter != nullptr) {
      original->deleter(original);
    }
  }

  Managed* const original;
  DLManagedTensorVersioned view;
};

// Takes over `produced`. The last handle never waits for the host's GIL: the producer's deleter
// runs through OwnerReleases.
template <typename Managed>
Tensor TakeProduced(Managed* produced) {
  auto tensor = std::make_unique<HostTensor<Managed>>(produced);
  return Tensor::FromDLPack(&tensor.release()->view);
}

}  // namespace torchdeploy
