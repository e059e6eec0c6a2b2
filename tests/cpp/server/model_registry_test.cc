// Tests of the models that a server has.
#include "server/model_registry.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "torchdeploy/status.h"

namespace torchdeploy::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ModelRegistryTest : public testing::Test {
 protected:
  Status Add(const std::string& name, const std::string& version) {
    return registry_.Add({name, version, {}, nullptr});
  }
  void AddAll(const std::string& name, const std::vector<std::string>& versions) {
    for (const std::string& version : versions) {
      ASSERT_TRUE(Add(name, version).ok());
    }
  }

  ModelRegistry registry_;
};

TEST_F(ModelRegistryTest, NoVersionMeansTheHighestNumber) {
  AddAll("a", {"2", "10", "9"});
  EXPECT_EQ((*registry_.Find("a", ""))->version, "10");
  EXPECT_EQ((*registry_.Find("a", "9"))->version, "9");
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("2", "9", "10"));
}

TEST_F(ModelRegistryTest, LeadingZerosDoNotMakeANumberHigher) {
  AddAll("a", {"007", "10", "7"});
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("007", "7", "10"));
}

TEST_F(ModelRegistryTest, WhatIsNoNumberComesBeforeAllNumbers) {
  AddAll("a", {"1", "zeta", "alpha"});
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("alpha", "zeta", "1"));
}

TEST_F(ModelRegistryTest, AVersionTwiceIsRefusedByName) {
  AddAll("a", {"1"});
  const Status status = Add("a", "1");
  EXPECT_EQ(status.code(), Code::kAlreadyExists);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'a'"), HasSubstr("'1'")));
}

TEST_F(ModelRegistryTest, AnUnknownModelIsToldWhatThereIs) {
  AddAll("a", {"1"});
  AddAll("b", {"1"});
  const Status status = registry_.Find("c", "").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'c'"), HasSubstr("a, b")));
  EXPECT_THAT(registry_.Versions("c"), IsEmpty());
}

TEST_F(ModelRegistryTest, AnUnknownVersionIsToldWhatThereIs) {
  AddAll("a", {"1", "2"});
  const Status status = registry_.Find("a", "3").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'3'"), HasSubstr("1, 2")));
}

}  // namespace
}  // namespace torchdeploy::server
