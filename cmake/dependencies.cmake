# Everything comes from the distribution. A missing optional library leaves its format out, and the program
# says so when asked for it.
find_package(PkgConfig REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS C)
set(ATELIER_LIBRARIES m ${CMAKE_DL_LIBS} OpenMP::OpenMP_C)

function(atelier_need name package)
    pkg_check_modules(${name} REQUIRED IMPORTED_TARGET ${package})
    set(ATELIER_LIBRARIES ${ATELIER_LIBRARIES} PkgConfig::${name} PARENT_SCOPE)
endfunction()

atelier_need(CJSON libcjson)
atelier_need(PCRE2 libpcre2-8)
atelier_need(UTF8PROC libutf8proc)
atelier_need(ZLIB zlib)
atelier_need(PNG libpng)

foreach(pair IN ITEMS "JPEG:libjpeg" "WEBP:libwebp libwebpmux"
        "FFMPEG:libavformat>=59.24 libavcodec libavutil libswresample"
        "SNDFILE:sndfile>=1.1" "ESPEAK:espeak-ng" "CURL:libcurl>=7.63")
    string(REPLACE ":" ";" pair "${pair}")
    list(GET pair 0 name)
    list(GET pair 1 packages)
    string(REPLACE " " ";" packages "${packages}")
    pkg_check_modules(${name} IMPORTED_TARGET ${packages})
    if(${name}_FOUND)
        if(name STREQUAL FFMPEG) # loaded when sound is read (src/formats/ffmpeg.h)
            include_directories(${FFMPEG_INCLUDE_DIRS})
        else()
            list(APPEND ATELIER_LIBRARIES PkgConfig::${name})
        endif()
        add_compile_definitions(AT_HAVE_${name})
    else()
        message(STATUS "${packages} not found: built without it")
    endif()
endforeach()
