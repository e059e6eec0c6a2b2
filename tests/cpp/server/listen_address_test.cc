// Tests of how addresses are written and of what is said of those that cannot be bound.
#include "server/listen_address.h"

#include <gtest/gtest.h>

namespace torchdeploy::server {
namespace {

TEST(ListenAddressTest, OnlyABareIpv6HostIsPutIntoBrackets) {
  EXPECT_EQ(ListenAddress("::1", 8001), "[::1]:8001");
  EXPECT_EQ(ListenAddress("[::1]", 8001), "[::1]:8001");
  EXPECT_EQ(ListenAddress("127.0.0.1", 0), "127.0.0.1:0");
  EXPECT_EQ(ListenAddress("localhost", 1), "localhost:1");
}

TEST(ListenAddressTest, AnAddressThatIsNotOfThisMachineIsNotAssignable) {
  EXPECT_EQ(WhyNotBound("192.0.2.1", 0), "Cannot assign requested address");
}

TEST(ListenAddressTest, AHostWithoutAnAddressIsNotKnown) {
  EXPECT_NE(WhyNotBound("no such host", 0), "");
}

TEST(ListenAddressTest, OfAFreePortThereIsNothingToSay) {
  EXPECT_EQ(WhyNotBound("127.0.0.1", 0), "");
}

}  // namespace
}  // namespace torchdeploy::server
