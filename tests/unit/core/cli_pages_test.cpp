#include "cli/pages.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "base/version.hpp"

namespace ae::cli::pages_test {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

class Pages : public ::testing::Test {
 protected:
  Pages() {
    app.set_help_flag("-h,--help", "Print this help");
    app.add_option("model", text, "Folder of a model")->required()->type_name("PATH");
    app.add_option("input", list, "Tables")->type_name("PATH");
    app.add_option("-o,--output", text, "Where it goes; - is standard output")->type_name("FILE");
    auto* alpha = add_number(app, "--alpha", number, R"(.1 of [a:b], the user's "x\y"; more)", 0, 1);
    auto* fdr = add_number(app, "--fdr", number, "Share", 0, 1)->excludes(alpha);
    add_choice(app, "--unreadable", choice, "What then", {"report", "stop"})->group("Images")->capture_default_str();
    app.add_option("--maps", text, "Folder to write")->type_name("DIR")->group("Images")->needs(fdr);
    app.add_option("--set", list, "Setting; repeat for several")->type_name("POINTER=VALUE")->expected(1)->take_all();
    app.add_flag("--hidden", flag, "Nobody's business")->group("");
  }

  std::string page(const std::vector<std::string>& arguments) { return requested_page(program, app, arguments); }
  const Argument& argument(const std::string& name) {
    declared = declared_arguments(app);
    for (const Argument& one : declared) {
      if (one.names.back() == name) return one;
    }
    throw std::out_of_range(name);
  }

  CLI::App app{"", "ae-toy"};
  Program program{"ae-toy",
                  "Toys with a table. Nothing comes of it.",
                  {{"ae-toy m 'a b'", "play"}},
                  {{"TOYS", "Where toys are"}},
                  {{"DIR/toy", "The toy"}},
                  {{"--set", [] {
                      return std::vector<std::string>{"/a/b=", "/a/c="};
                    }}}};
  std::string text;
  std::string choice = "report";
  std::vector<std::string> list;
  std::vector<Argument> declared;
  double number = 0.5;
  bool flag = false;
};

TEST_F(Pages, DeclarationsAreReadAsHelpShowsThem) {
  std::vector<std::string> names;
  for (const Argument& one : declared_arguments(app)) names.push_back(one.names.back());
  EXPECT_THAT(names, ElementsAre("model", "input", "--help", "--output", "--alpha", "--fdr", "--set", "--unreadable",
                                 "--maps"));
  EXPECT_THAT(argument("--output").names, ElementsAre("-o", "--output"));
  EXPECT_TRUE(argument("model").required);
  EXPECT_FALSE(argument("model").repeats);
  EXPECT_TRUE(argument("input").repeats);
  EXPECT_TRUE(argument("--set").repeats);
  EXPECT_EQ(argument("--help").type, "");
  EXPECT_EQ(argument("--unreadable").type, "{report,stop}");
  EXPECT_EQ(argument("--unreadable").default_text, "report");
  EXPECT_EQ(argument("--unreadable").group, "Images");
  EXPECT_THAT(argument("--alpha").excludes, ElementsAre("--fdr"));
  EXPECT_THAT(argument("--maps").needs, ElementsAre("--fdr"));
}

TEST_F(Pages, ChoicesComeFromTheTypeName) {
  EXPECT_THAT(choices_of_type("{report,ignore,stop}"), ElementsAre("report", "ignore", "stop"));
  EXPECT_THAT(choices_of_type("{masked}"), ElementsAre("masked"));
  EXPECT_THAT(choices_of_type("FILE"), IsEmpty());
}

TEST_F(Pages, NumbersShowTheirDefaultWhenAsked) {
  std::int64_t count = 7;
  std::optional<double> none;
  EXPECT_EQ(add_integer(app, "--count", count, "", 0, 9)->capture_default_str()->get_default_str(), "7");
  EXPECT_EQ(add_number(app, "--half", number, "", 0, 1)->capture_default_str()->get_default_str(), "0.5");
  EXPECT_EQ(add_number(app, "--none", none, "", 0, 1)->capture_default_str()->get_default_str(), "");
}

TEST_F(Pages, ManPageHasItsSectionsInOrder) {
  const std::string man = page({"--generate", "man", "ae-train", "ae-roc"});
  EXPECT_THAT(man, HasSubstr(".TH \"AE\\-TOY\" 1 \"\" \"aetools " + version() +
                             "\" \"User Commands\"\n.nh\n.ad l\n"
                             ".SH NAME\nae\\-toy \\- toys with a table\n"
                             ".SH SYNOPSIS\n\\fBae\\-toy\\fR [\\fIOPTIONS\\fR] \\fImodel\\fR [\\fIinput\\fR...]\n"
                             ".SH DESCRIPTION\nToys with a table. Nothing comes of it.\n"));
  std::size_t last = 0;
  for (const char* part :
       {".SH OPTIONS\n.SS Positionals\n.TP\n\\fImodel\\fR \\fIPATH\\fR\nFolder of a model.\n",
        ".SS Options\n.TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nPrint this help.\n",
        ".TP\n\\fB\\-\\-fdr\\fR \\fINUMBER\\fR\nShare.\nNot together with \\-\\-alpha.\n",
        ".SS Images\n.TP\n\\fB\\-\\-unreadable\\fR \\fI{report,\\:stop}\\fR\nWhat then.\nDefault: report.\n",
        "Folder to write.\nNeeds \\-\\-fdr.\n", ".SH EXIT STATUS\n.TP\n\\fB0\\fR\nDone.\n",
        ".SH ENVIRONMENT\n.TP\n\\fBNO_COLOR\\fR\n", ".TP\n\\fBTOYS\\fR\nWhere toys are.\n",
        ".SH FILES\n.TP\n\\fBDIR/toy\\fR\nThe toy.\n",
        ".SH EXAMPLES\nPlay.\n.PP\n.RS 4\n.nf\nae\\-toy m \\(aqa b\\(aq\n.fi\n.RE\n",
        ".SH SEE ALSO\n.BR ae\\-train (1),\n.BR ae\\-roc (1)\n"}) {
    EXPECT_THAT(man, HasSubstr(part));
    EXPECT_GT(man.find(part), last) << part;
    last = man.find(part);
  }
}

TEST_F(Pages, TextOfAManPageIsNeverARequestOrAnEscape) {
  EXPECT_THAT(page({"--generate", "man"}), HasSubstr("\n\\&.1 of [a:b], the user\\(aqs \\(dqx\\(rsy\\(dq; more.\n"));
}

TEST_F(Pages, ZshDescriptionsAreQuoted) {
  const std::string zsh = page({"--generate", "zsh"});
  EXPECT_THAT(zsh, StartsWith("#compdef ae-toy\n"));
  EXPECT_THAT(zsh, HasSubstr(R"( '(--fdr --alpha)'--alpha='[.1 of \[a\:b\], the user'\''s "x\\y"]:NUMBER: ')"));
  EXPECT_THAT(zsh, HasSubstr("'(-o --output)'{-o+,--output=}'[Where it goes]:FILE:_files'"));
  EXPECT_THAT(zsh, HasSubstr("'(--maps)'--maps='[Folder to write]:DIR:_files -/'"));
  EXPECT_THAT(zsh, HasSubstr("'(--unreadable)'--unreadable='[What then]:{report,stop}:(report stop)'"));
  EXPECT_THAT(zsh, HasSubstr("'*'--set='[Setting]:POINTER=VALUE:{compadd -S \"\" - /a/b= /a/c=}'"));
  EXPECT_THAT(zsh, HasSubstr("'(-h --help)'{-h,--help}'[Print this help]'"));
  EXPECT_THAT(zsh, HasSubstr(" \\\n  ':model:_files' \\\n  '*:input:_files' \\\n"));
}

TEST_F(Pages, FishDescriptionsAreQuoted) {
  const std::string fish = page({"--generate", "fish"});
  EXPECT_THAT(fish, HasSubstr(R"(complete -c ae-toy -l alpha -x -d '.1 of [a:b], the user\'s "x\\y"')"));
  EXPECT_THAT(fish, HasSubstr("complete -c ae-toy -s o -l output -r -F -d 'Where it goes'\n"));
  EXPECT_THAT(fish, HasSubstr("complete -c ae-toy -l unreadable -x -a 'report stop' -d 'What then'\n"));
  EXPECT_THAT(fish, HasSubstr("complete -c ae-toy -l set -x -a '/a/b= /a/c=' -d 'Setting'\n"));
  EXPECT_THAT(fish, HasSubstr("complete -c ae-toy -s h -l help -d 'Print this help'\n"));
}

TEST_F(Pages, HiddenOptionsAreOnNoPage) {
  for (const char* kind : {"man", "bash", "zsh", "fish", "json"}) {
    EXPECT_THAT(page({"--generate", kind}), Not(HasSubstr("hidden"))) << kind;
  }
}

TEST_F(Pages, JsonHoldsTheDeclarations) {
  const auto json = nlohmann::json::parse(page({"--generate", "json"}));
  EXPECT_EQ(json.at("program"), "ae-toy");
  const auto& output = json.at("arguments").at(3);
  EXPECT_EQ(output.at("names"), (nlohmann::json{"-o", "--output"}));
  EXPECT_EQ(output.at("type"), "FILE");
  EXPECT_EQ(output.at("help"), "Where it goes; - is standard output");
  EXPECT_FALSE(output.at("positional"));
}

TEST_F(Pages, UnknownKindIsAnError) {
  for (const auto& arguments : std::vector<std::vector<std::string>>{{"--generate"}, {"--generate", "pdf"}}) {
    EXPECT_TRUE(asks_for_page(arguments));
    EXPECT_THROW(page(arguments), UsageError);
  }
  EXPECT_FALSE(asks_for_page({"model", "--generate", "man"}));
  EXPECT_FALSE(asks_for_page({}));
}

TEST(PagesOfRunApp, ArePrintedAndNotToldByHelp) {
  const auto output_of = [](std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    const int code = run_app(
        {"ae-toy", "Toys.", {}}, static_cast<int>(argv.size()), argv.data(), [](CLI::App&) {},
        [](Context&) { return 9; });
    EXPECT_EQ(code, 0);
    return testing::internal::GetCapturedStdout();
  };
  EXPECT_THAT(output_of({"ae-toy", "--generate", "man"}), HasSubstr(".TH \"AE\\-TOY\""));
  EXPECT_THAT(output_of({"ae-toy", "--generate", "bash"}),
              EndsWith("complete -o bashdefault -o default -F _ae_toy ae-toy\n"));
  EXPECT_THAT(output_of({"ae-toy", "--help"}), Not(HasSubstr("generate")));
}

}  // namespace
}  // namespace ae::cli::pages_test
