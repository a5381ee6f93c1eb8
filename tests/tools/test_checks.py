#!/usr/bin/env python3
"""Each check of tools/ says yes to a good tree and no to a planted fault."""
import importlib.machinery
import importlib.util
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
TOOLS = pathlib.Path(__file__).parents[2] / "tools"


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, str(TOOLS / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


class TreeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


class Layers(TreeTest):
    def setUp(self):
        super().setUp()
        self.write("src/base/a.h", "#pragma once\n")
        self.write("src/core/b.h", '#include "base/a.h"\n')
        self.write("src/core/b_internal.h", "")
        self.write("src/store/sqlite/c.h", "")
        self.write("src/store/store.c", '#include "store/sqlite/c.h"\n')
        self.check = load("check_layers").check

    def assert_refused(self, words):
        self.assertTrue(any(words in problem for problem in self.check(self.root)),
                        self.check(self.root))

    def test_good_tree(self):
        self.assertEqual(self.check(self.root), [])

    def test_arrow_upwards(self):
        self.write("src/base/bad.c", '#include "core/b.h"\n')
        self.assert_refused("base may not use core")

    def test_unknown_folder(self):
        self.write("src/helpers/bad.c", '#include "base/a.h"\n')
        self.assert_refused("no row in the table")

    def test_adapter_from_outside(self):
        self.write("src/broker/bad.c", '#include "store/sqlite/c.h"\n')
        self.assert_refused("is not for other folders")

    def test_adapter_from_adapter(self):
        self.write("src/store/postgres/bad.c", '#include "store/sqlite/c.h"\n')
        self.assert_refused("the adapter store/postgres may not use store/sqlite")

    def test_internal_header(self):
        self.write("src/store/bad.c", '#include "core/b_internal.h"\n')
        self.assert_refused("is internal to core")

    def test_circle(self):
        self.write("src/base/a.h", '#include "base/z.h"\n')
        self.write("src/base/z.h", '#include "base/a.h"\n')
        self.assert_refused("headers in a circle")

    def test_missing_and_unqualified(self):
        self.write("src/base/bad.c", '#include "base/none.h"\n#include "a.h"\n')
        self.assert_refused("no such file")
        self.assert_refused("folder/file.h")


class Size(TreeTest):
    def setUp(self):
        super().setUp()
        self.module = load("check_size")

    def function(self, lines):
        return "static int\nlong_one(int a,\n         int b) {\n" + "    a++;\n" * (lines - 4) + "}\n"

    def test_limits(self):
        self.write("src/base/good.c", self.function(self.module.MAX_FUNCTION))
        self.assertEqual(self.module.check(self.root), [])
        self.write("src/base/bad.c", "int other;\n" + self.function(self.module.MAX_FUNCTION + 4))
        self.assertEqual(len(self.module.check(self.root)), 1)

    def test_long_file(self):
        self.write("src/base/bad.c", "int a;\n" * (self.module.MAX_FILE + 1))
        self.assertIn("601 lines", self.module.check(self.root)[0])

    def test_table_is_no_function(self):
        self.write("src/base/table.c", "static const int T[] = {\n" + "    1,\n" * 100 + "};\n")
        self.assertEqual(self.module.check(self.root), [])

    def test_stale_exception(self):
        self.module.ALLOWED["src/base/gone.c:f"] = "was long"
        self.assertIn("no longer long", self.module.check(self.root)[0])


class Sources(TreeTest):
    def test_unlisted(self):
        self.write("src/base/meson.build", "base_sources = files('a.c') # a's\n")
        self.write("src/base/a.c", "")
        self.write("tests/meson.build", "unit_tests = {'base': ['a']}\n")
        self.write("tests/unit/base/test_a.c", "")
        check = load("check_sources").check
        self.assertEqual(check(self.root), [])
        self.write("src/base/b.c", "")
        self.write("tests/unit/base/test_b.c", "")
        self.assertEqual(len(check(self.root)), 2)


class Symbols(TreeTest):
    def archive(self, folder, name, code):
        path = self.write(f"src/{folder}/{name}", code)
        subprocess.run(["cc", "-O1", "-w", "-c", path, "-o", f"{path}.o"], check=True)
        subprocess.run(["ar", "rcs", path.parent / f"libtakt-{folder}.a", f"{path}.o"], check=True)

    def problems(self, core):
        self.archive("base", "clock.c", "long clock_now(void) { return 1; }")
        self.archive("base", "map.c", "int map_get(void) { return 1; }")
        self.archive("core", "job.c", core)
        self.archive("engine", "engine.c", "int job(void); int engine(void) { return job(); }")
        return load("check_symbols").check(self.root)

    def test_pure(self):
        self.assertEqual(self.problems("int map_get(void); int job(void) { return map_get(); }"), [])

    def test_clock_of_base(self):
        self.assertIn("asks the system", self.problems(
            "long clock_now(void); int job(void) { return (int)clock_now(); }")[0])

    def test_crash_points_are_for_test_builds(self):
        self.archive("base", "crash.c", "void crash_pass(int point) { (void)point; }")
        self.assertIn("crash_pass() of crash.c.o", self.problems(
            "void crash_pass(int); int job(void) { crash_pass(1); return 0; }")[0])

    def test_io_and_system_clock(self):
        problems = self.problems("long time(long *); long write(int, char *, long);"
                                 "int job(void) { return (int)(time(0) + write(1, \"\", 0)); }")
        self.assertEqual(len(problems), 2, problems)

    def test_not_built(self):
        self.assertIn("not built", load("check_symbols").check(self.root)[0])


class Summary(unittest.TestCase):
    def test_counts(self):
        count = load("test_summary").count
        tap = "1..3\nok 1 - a\nnot ok 2 - b\nnot ok 3 # SKIP c\n"
        self.assertEqual(count({"result": "FAIL", "stdout": tap}), (1, 1, 1))
        self.assertEqual(count({"result": "FAIL", "stdout": "1..1\nok 1 - a\n"}), (1, 1, 0))
        self.assertEqual(count({"result": "TIMEOUT", "stdout": ""}), (0, 1, 0))
        self.assertEqual(count({"result": "OK", "stdout": "no tap"}), (1, 0, 0))
        self.assertEqual(count({"result": "SKIP"}), (0, 0, 1))


class Coverage(TreeTest):
    def shown(self, *floor):
        table = self.write("coverage.csv",
                           "filename,line_total,line_covered,branch_total,branch_covered\n"
                           "src/core/a.c,10,10,100,90\nsrc/core/b.c,5,5,100,100\n")
        return subprocess.run([TOOLS / "coverage_table", table, *floor], capture_output=True,
                              text=True, check=False)

    def test_floor(self):
        self.assertEqual(self.shown("src/core", "95").returncode, 0)
        self.assertEqual(self.shown("src/core", "95.1").returncode, 1)
        self.assertEqual(self.shown("src/engine", "1").returncode, 1)
        self.assertRegex(self.shown().stdout, r"src/core +15 of +15 lines +100.0 % +190 of +200 ")


class Cppcheck(TreeTest):
    def test_finds_and_reads_all(self):
        for folder in ("src", "include", "tests/unit/client", "bench", "examples", "tools"):
            (self.root / folder).mkdir(parents=True)
        for name in ("check_cppcheck", "cppcheck_suppressions"):
            shutil.copy(TOOLS / name, self.root / "tools")
        def run():
            return subprocess.run([self.root / "tools/check_cppcheck"], capture_output=True,
                                  text=True, check=False)
        self.write("src/base/good.c", "int f(int a);\nint f(int a) {\n    return a;\n}\n")
        if run().returncode == 77:
            self.skipTest("no cppcheck 2.10")
        self.assertEqual(run().returncode, 0, run())
        self.write("src/base/bad.c", "int g(void);\nint g(void) {\n    int a[2] = {1, 2};\n"
                                     "    return a[2];\n}\n")
        self.assertEqual(run().returncode, 1)
        self.write("src/base/bad.c", "struct S { int a; };\nstruct S g(int a, struct S b);\n"
                                     "struct S g(int a, struct S b) {\n"
                                     "    return a ? (struct S){0} : b;\n}\n")
        self.assertEqual(run().returncode, 1, "a file that it can't read")


if __name__ == "__main__":
    unittest.main()
