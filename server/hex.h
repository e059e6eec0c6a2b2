// Bytes as hexadecimal digits.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace torchdeploy::server {

// The first digits of `text`, lower-case, two for each byte. False for other letters. REQUIRES:
// there are as many letters.
bool ReadHex(std::string_view text, std::span<uint8_t> bytes);

std::string ToHex(std::span<const uint8_t> bytes);

}  // namespace torchdeploy::server
