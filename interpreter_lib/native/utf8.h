// Text that TorchScript holds as any bytes.
#pragma once

#include <string>
#include <string_view>

namespace torchdeploy::native {

// Source: RFC 3629.
[[nodiscard]] bool IsUtf8(std::string_view text);

// With a question mark for each byte that is no ASCII, unless it is UTF-8.
[[nodiscard]] std::string ShownAsUtf8(std::string text);

}  // namespace torchdeploy::native
