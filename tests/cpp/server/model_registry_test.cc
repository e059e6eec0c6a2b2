// Tests of the models that a server has.
#include "server/model_registry.h"

#include <memory>
#include <string>
#include <utility>
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
  void Serve(const std::string& name, const std::vector<std::string>& versions,
             const std::string& default_version = "") {
    std::vector<std::shared_ptr<const Model>> models;
    for (const std::string& version : versions) {
      Model model;
      model.name = name;
      model.version = version;
      models.push_back(std::make_shared<const Model>(std::move(model)));
    }
    registry_.Replace(models, default_version);
  }

  ModelRegistry registry_;
};

TEST_F(ModelRegistryTest, NoVersionMeansTheHighestNumber) {
  Serve("a", {"2", "10", "9"});
  EXPECT_EQ((*registry_.Find("a", ""))->version, "10");
  EXPECT_EQ((*registry_.Find("a", "9"))->version, "9");
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("2", "9", "10"));
}

TEST_F(ModelRegistryTest, LeadingZerosDoNotMakeANumberHigher) {
  Serve("a", {"007", "10", "7"});
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("007", "7", "10"));
}

TEST_F(ModelRegistryTest, WhatIsNoNumberComesBeforeAllNumbers) {
  Serve("a", {"1", "zeta", "alpha"});
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("alpha", "zeta", "1"));
}

TEST_F(ModelRegistryTest, TheDefaultVersionIsWhatIsMeantByNone) {
  Serve("a", {"1", "2", "3"}, "2");
  EXPECT_EQ((*registry_.Find("a", ""))->version, "2");
}

TEST_F(ModelRegistryTest, NewVersionsTakeThePlaceOfTheOldAndWhoHasAnOldOneKeepsIt) {
  Serve("a", {"1", "2"});
  Serve("b", {"1"});
  const std::shared_ptr<const Model> old = *registry_.Find("a", "2");
  Serve("a", {"2", "3"});
  EXPECT_THAT(registry_.Versions("a"), ElementsAre("2", "3"));
  EXPECT_NE(*registry_.Find("a", "2"), old);
  EXPECT_EQ(old->version, "2");
  EXPECT_THAT(registry_.Names(), ElementsAre("a", "b"));
}

TEST_F(ModelRegistryTest, ARemovedModelIsUnknown) {
  Serve("a", {"1"});
  Serve("b", {"1"});
  registry_.Remove("a");
  registry_.Remove("unheard");
  EXPECT_EQ(registry_.Find("a", "").status().code(), Code::kNotFound);
  EXPECT_THAT(registry_.Names(), ElementsAre("b"));
}

TEST_F(ModelRegistryTest, AnUnknownModelIsToldWhatThereIs) {
  Serve("a", {"1"});
  Serve("b", {"1"});
  const Status status = registry_.Find("c", "").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'c'"), HasSubstr("a, b")));
  EXPECT_THAT(registry_.Versions("c"), IsEmpty());
}

TEST_F(ModelRegistryTest, AnUnknownVersionIsToldWhatThereIs) {
  Serve("a", {"1", "2"});
  const Status status = registry_.Find("a", "3").status();
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), AllOf(HasSubstr("'3'"), HasSubstr("1, 2")));
}

}  // namespace
}  // namespace torchdeploy::server
