// Where a server listens, and why it could not.
#pragma once

#include <string>

namespace torchdeploy::server {

// "HOST:PORT", as URLs and gRPC write it: a host with colons (IPv6) in brackets.
std::string ListenAddress(const std::string& host, int port);

// What the system says of binding a socket to it, such as "Address already in use". gRPC tells
// only that it failed. Empty when the system now finds nothing wrong.
std::string WhyNotBound(const std::string& host, int port);

}  // namespace torchdeploy::server
