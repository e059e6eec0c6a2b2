// Globals, attributes and the life of objects; how the interpreter was started.
#include <cstdint>
#include <string>

#include <gtest/gtest.h>

#include "interpreter_lib/abi/interp_abi.h"

#include "tests/cpp/engine/engine_under_test.h"
#include "tests/cpp/engine/values.h"

namespace torchdeploy::testing {
namespace {

class ObjectTest : public ::testing::Test {
 protected:
  Failure Global(const char* module, const char* name, td_object* out) {
    td_error error{};
    return engine_.Take(engine_.api().global(engine_.engine(), module, name, out, &error), &error);
  }
  Failure Attribute(td_object object, const char* name, td_object* out) {
    td_error error{};
    return engine_.Take(engine_.api().attribute(engine_.engine(), object, name, out, &error),
                        &error);
  }
  Failure HasAttribute(td_object object, const char* name, int32_t* out) {
    td_error error{};
    return engine_.Take(engine_.api().has_attribute(engine_.engine(), object, name, out, &error),
                        &error);
  }
  std::string Show(td_object object) {
    td_value value{};
    td_error error{};
    const td_code code = engine_.api().to_value(engine_.engine(), object, &value, &error);
    const Failure failure = engine_.Take(code, &error);
    const std::string text = code == TD_OK ? testing::Show(value) : failure.message;
    engine_.api().free_value(engine_.engine(), &value);
    return text;
  }

  EngineUnderTest& engine_ = EngineUnderTest::Get();
};

TEST_F(ObjectTest, GlobalIsWhatFromImportGives) {
  td_object found = 0;
  EXPECT_EQ(Global("os.path", "sep", &found).code, TD_OK);
  EXPECT_EQ(Show(found), "'/'");
  EXPECT_EQ(Global("importlib", "metadata", &found).code, TD_OK);
  EXPECT_EQ(Global("xml.dom", "minidom", &found).code, TD_OK);
  EXPECT_EQ(Global("no_such_module", "x", &found).type, "ModuleNotFoundError");
  EXPECT_EQ(Global("os", "no_such_name", &found).type, "ImportError");
}

TEST_F(ObjectTest, AttributesAreFoundAndMissed) {
  const td_object torch = engine_.Eval("__import__('torch')");
  td_object version = 0;
  ASSERT_EQ(Attribute(torch, "version", &version).code, TD_OK);
  td_object slot = 0;
  ASSERT_EQ(Attribute(version, "interp", &slot).code, TD_OK);
  EXPECT_EQ(Show(slot), std::to_string(kSlot));
  EXPECT_EQ(Attribute(torch, "no_such", &slot).type, "AttributeError");
  int32_t has = -1;
  EXPECT_EQ(HasAttribute(torch, "ones", &has).code, TD_OK);
  EXPECT_EQ(has, 1);
  EXPECT_EQ(HasAttribute(torch, "no_such", &has).code, TD_OK);
  EXPECT_EQ(has, 0);
}

TEST_F(ObjectTest, PropertyThatRaisesIsAnErrorOfHasAttribute) {
  const td_object value = engine_.Define(
      "class C:\n    @property\n    def p(self):\n        raise OSError('x')\nvalue = C()",
      "value");
  int32_t has = -1;
  EXPECT_EQ(HasAttribute(value, "p", &has).type, "OSError");
  EXPECT_EQ(has, -1);
}

TEST_F(ObjectTest, ReleasedOrForeignIdIsAnError) {
  const td_object object = engine_.Eval("[1]");
  EXPECT_EQ(Show(object), "[1]");
  engine_.api().release_object(engine_.engine(), object);
  engine_.api().release_object(engine_.engine(), object);
  td_object out = 0;
  EXPECT_EQ(Attribute(object, "x", &out).code, TD_FAILED_PRECONDITION);
  EXPECT_EQ(Attribute(0, "x", &out).code, TD_FAILED_PRECONDITION);
  EXPECT_NE(engine_.Eval("[2]"), object);
  EXPECT_EQ(engine_.CallExpression("lambda x: x", {Arena::Object(object)}).failure().code,
            TD_FAILED_PRECONDITION);
}

TEST_F(ObjectTest, ReleasedObjectDiesAtTheNextEntry) {
  const td_object functions = engine_.Define(R"(
import weakref
class Thing: pass
class Watch:
    def make(self):
        thing = Thing()
        self.ref = weakref.ref(thing)
        return thing
    def alive(self):
        return self.ref() is not None
watch = Watch()
)",
                                             "watch");
  td_object make = 0;
  td_object alive = 0;
  ASSERT_EQ(Attribute(functions, "make", &make).code, TD_OK);
  ASSERT_EQ(Attribute(functions, "alive", &alive).code, TD_OK);
  Outcome thing = engine_.Call(make, {}, {}, TD_WANT_OBJECT);
  EXPECT_EQ(engine_.Call(alive).Show(), "True");
  engine_.api().release_object(engine_.engine(), thing.value().as.object);
  EXPECT_EQ(engine_.Call(alive).Show(), "False");
}

TEST_F(ObjectTest, InterpreterIsTheGivenPythonsWithUtf8Text) {
  EXPECT_EQ(engine_.Value("__import__('sys').executable").Show(),
            "'" + std::string(PYTHON_EXECUTABLE) + "'");
  EXPECT_EQ(engine_.Value("__import__('sys').flags.utf8_mode").Show(), "1");
  EXPECT_EQ(engine_.Value("__import__('sys').argv").Show(), "['']");
  EXPECT_EQ(engine_.Value("__import__('sys').stdout.encoding").Show(), "'utf-8'");
}

}  // namespace
}  // namespace torchdeploy::testing
