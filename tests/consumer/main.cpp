// Exits with 1 unless the installed libraries answer as they should.
#include <aetools/base/version.hpp>
#include <aetools/cli/version.hpp>
#include <aetools/evaluate/roc.hpp>

#include <iostream>

int main() {
  const double area = ae::evaluate::auroc(ae::evaluate::LabeledScores({3, 1}, {2, 0}), 0.95).value;
  if (area != 0.75) {  // 3 of the 4 pairs are in order
    std::cerr << "AUROC is " << area << ", expected 0.75\n";
    return 1;
  }
  if (!ae::cli::version_text("consumer", {}).starts_with("consumer " + ae::version())) return 1;
  std::cout << "aetools " << ae::version() << '\n';
}
