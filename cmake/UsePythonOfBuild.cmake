# td_use_python_of_build(TEST): lets a program that names no Python use the one of the build.
function(td_use_python_of_build test)
  cmake_path(GET Python_EXECUTABLE PARENT_PATH folder)
  set_tests_properties(${test} PROPERTIES TIMEOUT 300
    ENVIRONMENT_MODIFICATION "VIRTUAL_ENV=unset:;PATH=path_list_prepend:${folder}")
endfunction()
