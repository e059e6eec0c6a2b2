// Archives and manifests as the host reads them, good and hostile.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <fstream>
#include <future>
#include <ios>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/src/archive_file.h"
#include "runtime/src/archive_reader.h"
#include "runtime/src/file_lease.h"
#include "runtime/src/isolation/owned_fd.h"
#include "runtime/src/manifest_parser.h"
#include "torchdeploy/interpreter_manager.h"
#include "torchdeploy/interpreter_session.h"
#include "torchdeploy/manifest.h"
#include "torchdeploy/package.h"
#include "torchdeploy/replicated_obj.h"
#include "torchdeploy/status.h"
#include "torchdeploy/value.h"

#include "tests/cpp/runtime/fake_pool.h"
#include "tests/fakes/archive_writer.h"
#include <sys/stat.h>

namespace torchdeploy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr std::string_view kManifest = R"({
  "format": 1,
  "name": "minilm",
  "version": "1",
  "entry": {"package": "torchdeploy", "resource": "entry.pkl"},
  "inputs": [{"name": "text", "datatype": "BYTES", "shape": [-1]}],
  "outputs": [{"name": "embedding", "datatype": "FP32", "shape": [-1, 384]}],
  "batch_dimension": 0,
  "python": "3.11.7",
  "torch": "2.13.0",
  "distributions": {"sentence-transformers": "5.1.0"}
})";

// kManifest with one piece of its text replaced.
std::string With(std::string_view piece, std::string_view replacement) {
  std::string text(kManifest);
  const size_t at = text.find(piece);
  EXPECT_NE(at, std::string::npos) << piece;
  return text.replace(at, piece.size(), replacement);
}

std::string ReadAll(const std::string& path) {
  const std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteAll(const std::string& path, std::string_view text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(ManifestTest, EveryKeyIsRead) {
  const Result<Manifest> manifest = ParseManifest(kManifest);
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  EXPECT_EQ(manifest->name, "minilm");
  EXPECT_EQ(manifest->version, "1");
  EXPECT_EQ(manifest->entry.package, "torchdeploy");
  EXPECT_EQ(manifest->entry.resource, "entry.pkl");
  ASSERT_EQ(manifest->inputs.size(), 1U);
  EXPECT_EQ(manifest->inputs[0].name, "text");
  EXPECT_EQ(manifest->inputs[0].datatype, "BYTES");
  EXPECT_THAT(*manifest->inputs[0].shape, ElementsAre(-1));
  EXPECT_THAT(*manifest->outputs[0].shape, ElementsAre(-1, 384));
  EXPECT_EQ(manifest->batch_dimension, 0);
  EXPECT_EQ(manifest->python_version, "3.11.7");
  EXPECT_EQ(manifest->torch_version, "2.13.0");
  EXPECT_EQ(manifest->distributions.at("sentence-transformers"), "5.1.0");
}

TEST(ManifestTest, NullMeansAnyShapeAndNoBatches) {
  const Result<Manifest> manifest =
      ParseManifest(With("\"shape\": [-1]}", "\"shape\": null}").replace(0, 0, " \n"));
  ASSERT_TRUE(manifest.ok()) << manifest.status().ToString();
  EXPECT_FALSE(manifest->inputs[0].shape.has_value());
  const Result<Manifest> unbatched =
      ParseManifest(With("\"batch_dimension\": 0", "\"batch_dimension\": null"));
  ASSERT_TRUE(unbatched.ok());
  EXPECT_FALSE(unbatched->batch_dimension.has_value());
}

TEST(ManifestTest, ExampleAndYieldsMayBeMissing) {
  const Result<Manifest> without = ParseManifest(kManifest);
  EXPECT_FALSE(without->example.has_value());
  EXPECT_FALSE(without->yields);
  const Result<Manifest> with = ParseManifest(
      With("\"format\": 1",
           R"("format": 1, "yields": true, "example": {"package": "p", "resource": "r"})"));
  ASSERT_TRUE(with.ok()) << with.status().ToString();
  EXPECT_EQ(with->example->package, "p");
  EXPECT_EQ(with->example->resource, "r");
  EXPECT_TRUE(with->yields);
}

TEST(ManifestTest, UnknownKeysAreIgnored) {
  EXPECT_TRUE(ParseManifest(With("\"format\": 1", "\"format\": 1, \"later\": [{}]")).ok());
}

TEST(ManifestTest, InputAndOutputMayShareAName) {
  EXPECT_TRUE(ParseManifest(With("\"name\": \"embedding\"", "\"name\": \"text\"")).ok());
}

struct BadManifest {
  std::string name;  // Of the test.
  std::string text;
  std::string message;

  friend void PrintTo(const BadManifest& bad, std::ostream* out) { *out << bad.name; }
};

class BadManifestTest : public ::testing::TestWithParam<BadManifest> {};

TEST_P(BadManifestTest, IsRefusedByAnErrorThatNamesWhatIsWrong) {
  const Result<Manifest> manifest = ParseManifest(GetParam().text);
  ASSERT_FALSE(manifest.ok());
  EXPECT_EQ(manifest.status().code(), Code::kInvalidArgument);
  EXPECT_THAT(manifest.status().message(), HasSubstr(GetParam().message));
  EXPECT_LT(manifest.status().message().size(), 400U);
}

std::string Repeat(std::string_view piece, size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i) {
    text += piece;
  }
  return text;
}

INSTANTIATE_TEST_SUITE_P(
    All, BadManifestTest,
    ::testing::Values(
        BadManifest{"Empty", "", "not JSON"}, BadManifest{"Cut", "{\"format\": 1", "not JSON"},
        BadManifest{"NotUtf8", With("minilm", "\xff\xfe"), "not JSON"},
        BadManifest{"ManyBytesOfGarbage", Repeat("x", 1'000'000), "not JSON"},
        BadManifest{"List", "[]", "the document is []; expected an object"},
        BadManifest{"DeepLists", Repeat("[", 1'000'000), "nested deeper than 64"},
        BadManifest{"DeepObjects", Repeat("{\"a\":", 200'000), "nested deeper than 64"},
        BadManifest{
            "DeepUnknownKey",
            With("\"format\": 1", "\"format\": 1, \"x\": " + Repeat("[", 1000) + Repeat("]", 1000)),
            "nested deeper than 64"},
        BadManifest{"MethodsAsList", With("\"format\": 1", "\"format\": 1, \"methods\": []"),
                    "methods is []; expected an object"},
        BadManifest{"NamelessMethod",
                    With("\"format\": 1", "\"format\": 1, \"methods\": {\"a.b\": {}}"),
                    "a name in methods is \"a.b\"; expected one of the form"},
        BadManifest{"MethodWithoutInputs",
                    With("\"format\": 1", "\"format\": 1, \"methods\": {\"encode\": {}}"),
                    "methods.encode.inputs"},
        BadManifest{"YieldsAsNumber", With("\"format\": 1", "\"format\": 1, \"yields\": 1"),
                    "yields is 1; expected true or false"},
        BadManifest{"ExampleAsText", With("\"format\": 1", "\"format\": 1, \"example\": \"x\""),
                    "example is \"x\"; expected an object"},
        BadManifest{"OtherFormat", With("\"format\": 1", "\"format\": 2"),
                    "format is 2; expected 1"},
        BadManifest{"FormatAsText", With("\"format\": 1", "\"format\": \"1\""),
                    "format is \"1\"; expected 1"},
        BadManifest{"FormatAsFloat", With("\"format\": 1", "\"format\": 1.0"), "format is 1.0"},
        BadManifest{"NoFormat", With("\"format\": 1,", ""), "'format' is missing"},
        BadManifest{"NoName", With("\"name\": \"minilm\",", ""), "'name' is missing"},
        BadManifest{"NoInputName", With("\"name\": \"text\", ", ""), "'inputs[0].name' is missing"},
        BadManifest{"NoEntryResource", With(", \"resource\": \"entry.pkl\"", ""),
                    "'entry.resource' is missing"},
        BadManifest{"NameWithSlash", With("minilm", "a/b"), "name is \"a/b\"; expected a name"},
        BadManifest{"NameOfDots", With("minilm", ".."), "name is \"..\""},
        BadManifest{"EmptyName", With("minilm", ""), "name is \"\""},
        BadManifest{"VersionAsNumber", With("\"version\": \"1\"", "\"version\": 1"),
                    "version is 1; expected a string"},
        BadManifest{"EntryAsText",
                    With("{\"package\": \"torchdeploy\", \"resource\": \"entry.pkl\"}", "\"x\""),
                    "entry is \"x\"; expected an object"},
        BadManifest{"InputsAsObject",
                    With("[{\"name\": \"text\", \"datatype\": \"BYTES\", \"shape\": [-1]}]", "{}"),
                    "inputs is {}; expected a list"},
        BadManifest{"InputAsNumber",
                    With("[{\"name\": \"text\", \"datatype\": \"BYTES\", \"shape\": [-1]}]", "[3]"),
                    "inputs[0] is 3; expected an object"},
        BadManifest{"DuplicateInput",
                    With("[{\"name\": \"text\", \"datatype\": \"BYTES\", \"shape\": [-1]}]",
                         R"([{"name": "a", "datatype": ""}, {"name": "a", "datatype": ""}])"),
                    "inputs[1].name is \"a\"; expected a name that is not empty and not used"},
        BadManifest{"EmptyInputName", With("\"name\": \"text\"", "\"name\": \"\""),
                    "inputs[0].name is \"\""},
        BadManifest{"UnknownDatatype", With("\"BYTES\"", "\"float\""),
                    "inputs[0].datatype is \"float\"; expected a datatype"},
        BadManifest{"NullDatatype", With("\"BYTES\"", "null"), "inputs[0].datatype is null"},
        BadManifest{"ShapeAsText", With("[-1]", "\"-1\""), "inputs[0].shape is \"-1\""},
        BadManifest{"ExtentBelowMinusOne", With("384", "-2"),
                    "outputs[0].shape[1] is -2; expected an extent"},
        BadManifest{"ExtentAsFloat", With("384", "384.0"), "outputs[0].shape[1] is 384.0"},
        BadManifest{"ExtentAsBool", With("384", "true"), "outputs[0].shape[1] is true"},
        BadManifest{"ExtentOver63Bits", With("384", "9223372036854775808"),
                    "outputs[0].shape[1] is 9223372036854775808"},
        BadManifest{"ExtentOver64Bits", With("384", "99999999999999999999999"),
                    "outputs[0].shape[1] is"},
        BadManifest{"NumberOverDouble", With("384", "1e999"), "not JSON"},
        BadManifest{"HugeNumber", With("384", Repeat("9", 60'000)), ""},
        BadManifest{"NegativeBatchDimension",
                    With("\"batch_dimension\": 0", "\"batch_dimension\": -1"),
                    "batch_dimension is -1; expected a dimension from 0 on"},
        BadManifest{"BatchDimensionThatAnInputLacks",
                    With("\"batch_dimension\": 0", "\"batch_dimension\": 1"),
                    "batch_dimension is 1; expected one that 'text' has, which has 1 dimensions"},
        BadManifest{"DistributionsAsList", With("{\"sentence-transformers\": \"5.1.0\"}", "[]"),
                    "distributions is []; expected an object"},
        BadManifest{"DistributionVersionAsNumber", With("\"5.1.0\"", "5"),
                    "distributions.sentence-transformers is 5; expected a string"},
        BadManifest{"LongValueIsShortened", With("\"BYTES\"", "\"" + Repeat("y", 5000) + "\""),
                    "..."}),
    [](const auto& test) { return test.param.name; });

class ArchiveTest : public ::testing::Test {
 protected:
  Status Load(const std::string& path) const { return manager_->LoadPackage(path).status(); }

  const std::unique_ptr<InterpreterManager> manager_ = MakeManager(1);
  const TemporaryFolder folder_;
  const std::string path_ = folder_.File("model.pt");
};

TEST_F(ArchiveTest, ManifestNamesTheEntryThatIsCalled) {
  fakes::WriteArchive(path_, kManifest);
  const Result<Package> package = manager_->LoadPackage(path_);
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  EXPECT_EQ(package->path(), path_);
  ASSERT_TRUE(package->manifest().has_value());
  EXPECT_EQ(package->manifest()->name, "minilm");
  const Result<Value> result = package->LoadEntry().Call({}, {{"text", "hello"}});
  ASSERT_TRUE(result.ok()) << result.status().ToString();
  EXPECT_EQ(*result->get<Dict>()->front().second.get<std::string>(), "hello");
}

TEST_F(ArchiveTest, ArchiveWithoutManifestServesItsModel) {
  fakes::WriteArchive(path_, std::nullopt);
  const Result<Package> package = manager_->LoadPackage(path_);
  ASSERT_TRUE(package.ok()) << package.status().ToString();
  EXPECT_FALSE(package->manifest().has_value());
  EXPECT_TRUE(package->LoadEntry().Call({MakeTensor({1})}).ok());
}

TEST_F(ArchiveTest, BadManifestIsReportedWithItsPath) {
  fakes::WriteArchive(path_, "{}");
  const Status status = Load(path_);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("The manifest of '" + path_ + "' is not valid"));
}

TEST_F(ArchiveTest, FileIsNotTakenFromUnderAnInterpreterThatIsInUse) {
  fakes::WriteArchive(path_, kManifest);
  if (FileLease::Take(OwnedFd(open(path_.c_str(), O_RDONLY)), [] {}) == nullptr) {
    GTEST_SKIP() << "This file system gives no leases: archives are copied when they are opened.";
  }
  const Result<Package> package = manager_->LoadPackage(path_);
  ASSERT_TRUE(package.ok());
  const ReplicatedObj model = package->LoadPickle("model", "echo.pkl");
  std::future<void> rewritten;
  {
    const Result<InterpreterSession> session = model.AcquireSession();
    ASSERT_TRUE(session.ok()) << session.status().ToString();
    rewritten = std::async(std::launch::async, [&] { WriteAll(path_, "other"); });
    EXPECT_EQ(rewritten.wait_for(std::chrono::milliseconds(600)), std::future_status::timeout);
  }
  rewritten.wait();
  EXPECT_EQ(ReadAll(path_), "other");
  EXPECT_TRUE(model.Call({Value(1)}).ok());
}

TEST_F(ArchiveTest, MissingFileIsNotFound) {
  EXPECT_EQ(Load(path_).code(), Code::kNotFound);
  EXPECT_EQ(Load(folder_.File("no/such/model.pt")).code(), Code::kNotFound);
}

TEST_F(ArchiveTest, FolderIsRefusedAsOne) {
  const Status status = Load(folder_.File(""));
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("is a folder"));
}

TEST_F(ArchiveTest, PathThatNoFileCanHaveIsRefused) {
  EXPECT_EQ(Load("").code(), Code::kInvalidArgument);
  EXPECT_EQ(Load(std::string("/tmp/a\0b", 8)).code(), Code::kInvalidArgument);
  EXPECT_EQ(Load("/dev/null").code(), Code::kInvalidArgument);
}

TEST_F(ArchiveTest, UnreadableFileIsPermissionDenied) {
  if (geteuid() == 0) {
    GTEST_SKIP() << "The superuser can read every file.";
  }
  fakes::WriteArchive(path_, kManifest);
  ASSERT_EQ(chmod(path_.c_str(), 0), 0);
  EXPECT_EQ(Load(path_).code(), Code::kPermissionDenied);
}

TEST_F(ArchiveTest, OtherFilesAreDataLoss) {
  WriteAll(path_, "");
  EXPECT_EQ(Load(path_).code(), Code::kDataLoss);
  WriteAll(path_, "this is no zip file");
  EXPECT_EQ(Load(path_).code(), Code::kDataLoss);
  fakes::WriteZip(path_, {{"readme.txt", "hello"}});
  EXPECT_EQ(Load(path_).code(), Code::kDataLoss);
}

TEST_F(ArchiveTest, FileOfTorchSaveIsNamedAsWhatItMayBe) {
  fakes::WriteZip(path_, {{"archive/data.pkl", ""}, {"archive/version", "3\n"}});
  const Status status = Load(path_);
  EXPECT_EQ(status.code(), Code::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("torch.save writes another format"));
}

TEST_F(ArchiveTest, ArchiveCutShortAnywhereIsDataLoss) {
  fakes::WriteArchive(path_, kManifest);
  const std::string whole = ReadAll(path_);
  ASSERT_TRUE(Load(path_).ok());
  for (size_t size = 0; size < whole.size(); size += 100) {
    WriteAll(path_, whole.substr(0, size));
    EXPECT_EQ(Load(path_).code(), Code::kDataLoss) << size << " of " << whole.size();
  }
  WriteAll(path_, whole.substr(0, whole.size() - 1));
  EXPECT_EQ(Load(path_).code(), Code::kDataLoss);
}

TEST_F(ArchiveTest, NoSingleDamagedByteIsReadAsAnotherManifest) {
  fakes::WriteArchive(path_, kManifest);
  const std::string whole = ReadAll(path_);
  for (size_t at = 0; at < whole.size(); at += 7) {
    std::string damaged = whole;
    damaged[at] = static_cast<char>(~static_cast<unsigned char>(damaged[at]));
    WriteAll(path_, damaged);
    const auto file = ArchiveFile::Open(path_);
    ASSERT_TRUE(file.ok());
    const Result<CheckedArchive> archive = CheckArchive(*file);
    if (archive.ok() && archive->manifest.has_value()) {
      EXPECT_EQ(*archive->manifest, kManifest) << "byte " << at;
    }
  }
}

}  // namespace
}  // namespace torchdeploy
