// The bytes of an archive as torch reads them.
#pragma once

#include <cstddef>
#include <cstdint>

#include <ATen/core/Tensor.h>
#include <caffe2/serialize/read_adapter_interface.h>

namespace torchdeploy::native {

class ArchiveBytes : public caffe2::serialize::ReadAdapterInterface {
 public:
  // `bytes`: uint8 of shape [n] on the CPU.
  explicit ArchiveBytes(at::Tensor bytes);

  [[nodiscard]] size_t size() const override;
  size_t read(uint64_t pos, void* buf, size_t n, const char* what) const override;

 private:
  const at::Tensor bytes_;
};

// Lets go of the memory that reading has filled: what is read again comes from the file.
// REQUIRES: the memory is a private mapping that nobody has written to.
void ForgetPages(const at::Tensor& bytes);

}  // namespace torchdeploy::native
