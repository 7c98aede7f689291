// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "libcommon/core/err.h"
#include "svc-video/model.h"
#include "tests/lib/cmocka.h"

#define USER_A "0190a000-0000-7000-8000-00000000000a"
#define USER_B "0190a000-0000-7000-8000-00000000000b"
#define VIDEO  "0190a111-2222-7333-8444-555566667777"
#define OP(n)  "0190a999-0000-7000-8000-00000000000" n

static int set_up(void **state)
{
    struct reel_arena *arena = malloc(sizeof(*arena));

    reel_arena_init(arena, 1 << 20);
    *state = arena;
    return 0;
}

static int tear_down(void **state)
{
    reel_arena_fini(*state);
    free(*state);
    return 0;
}

static void names_lose_what_cannot_be_seen(void **state)
{
    static const struct {
        const char *name;
        const char *clean;
    } cases[] = {
        {"plain", "plain"},
        {"  two  words  ", "two  words"},
        {"a\nb\tc\r", "abc"},
        {"\x1b[31mred\x7f", "[31mred"},
        {"caf\xc3\xa9 \xe6\x98\xa0\xe7\x94\xbb \xf0\x9f\x8e\xac",
         "caf\xc3\xa9 \xe6\x98\xa0\xe7\x94\xbb \xf0\x9f\x8e\xac"},
        {"\xc2\x85nel\xc2\x9f", "nel"},
        {"gpj.\xe2\x80\xaetxt", "gpj.txt"},
        {"\xe2\x81\xa6iso\xe2\x81\xa9", "iso"},
        {"line\xe2\x80\xa8sep\xe2\x80\xa9", "linesep"},
        {"\xef\xbb\xbf"
         "bom",
         "bom"},
        {"\x01\x02\x03", ""},
        {" \n ", ""},
        {"\xe2\x80\x8b", ""},
        {"\xc2\xa0\xe2\x80\x8b \xe3\x85\xa4", ""},
        {"\xe2\x80\x8bx", "\xe2\x80\x8bx"},
        {"", ""},
        {"bad\xff\xc3", "bad"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_string_equal(model_clean_name(*state, cases[i].name), cases[i].clean);
}

static void long_names_are_cut_between_characters(void **state)
{
    char name[3 * 120 + 1] = "";
    const char *clean;

    for (int i = 0; i < 120; i++)
        strcat(name, "\xe6\x98\xa0");
    clean = model_clean_name(*state, name);
    assert_int_equal(strlen(clean), 255);
    assert_memory_equal(clean, name, 255);
}

static void file_names_become_names(void **state)
{
    static const struct {
        const char *filename;
        const char *name;
    } cases[] = {
        {"clip.mp4", "clip"},
        {"archive.tar.mkv", "archive.tar"},
        {"/etc/passwd", "passwd"},
        {"../../x.mp4", "x"},
        {"C:\\Users\\me\\holiday.MOV", "holiday"},
        {"noextension", "noextension"},
        {".mp4", "video"},
        {"folder/", "video"},
        {"\r\n.mp4", "video"},
        {"\xe2\x80\x8b.mp4", "video"},
        {"a\"b;c.mp4", "a\"b;c"},
    };

    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++)
        assert_string_equal(model_name_of_file(*state, cases[i].filename), cases[i].name);
}

static void every_result_format_has_a_content_type(void **state)
{
    static const char *const extensions[] = {"mp4", "mov", "avi", "webm", "mkv", "flv",
                                             "aac", "m4a", "mp3", "opus", "wav", "jpg"};

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(extensions); i++)
        assert_string_not_equal(model_content_type(extensions[i]), "application/octet-stream");
    assert_string_equal(model_content_type("html"), "application/octet-stream");
    assert_string_equal(model_content_type(""), "application/octet-stream");
}

static void job_states_map_to_statuses(void **state)
{
    (void)state;
    assert_string_equal(model_status_of_job("waiting"), "pending");
    assert_string_equal(model_status_of_job("delayed"), "pending");
    assert_string_equal(model_status_of_job("active"), "processing");
    assert_string_equal(model_status_of_job("completed"), "completed");
    assert_string_equal(model_status_of_job("failed"), "failed");
    assert_string_equal(model_status_of_job("cancelled"), "cancelled");
    assert_null(model_status_of_job("unheard-of"));
    assert_null(model_status_of_job(""));
}

static void nothing_follows_completed(void **state)
{
    static const char *const all[] = {"pending", "processing", "completed", "failed", "cancelled"};

    for (size_t from = 0; from < REEL_ARRAY_SIZE(all); from++)
        for (size_t to = 0; to < REEL_ARRAY_SIZE(all); to++)
            assert_int_equal(model_status_may_follow(all[from], all[to]),
                             strcmp(all[from], "completed") != 0);
    assert_false(model_status_may_follow("pending", "unheard-of"));
    assert_false(model_status_may_follow("unheard-of", "pending"));
    assert_string_equal(model_status_predecessors(*state, "completed"),
                        "{pending,processing,failed,cancelled}");
    assert_string_equal(model_status_predecessors(*state, "unheard-of"), "{}");
}

static void cursors_come_back(void **state)
{
    static const int64_t times[] = {0, 1, 1764000000123456, INT64_MAX};
    char cursor[MODEL_CURSOR_SIZE];
    char id[37];
    int64_t us;

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(times); i++) {
        model_cursor_encode(USER_A, times[i], VIDEO, cursor);
        assert_true(model_cursor_decode(USER_A, cursor, &us, id));
        assert_int_equal(us, times[i]);
        assert_string_equal(id, VIDEO);
    }
}

static void foreign_and_altered_cursors_are_refused(void **state)
{
    char cursor[MODEL_CURSOR_SIZE];
    char id[37];
    int64_t us;

    (void)state;
    model_cursor_encode(USER_A, 1764000000123456, VIDEO, cursor);
    assert_false(model_cursor_decode(USER_B, cursor, &us, id));
    for (size_t i = 0; i < strlen(cursor); i++) {
        static const char replacements[] = "0f9aG'-% ";
        char kept = cursor[i];

        for (const char *c = replacements; *c; c++) {
            cursor[i] = *c;
            if (*c != kept)
                assert_false(model_cursor_decode(USER_A, cursor, &us, id));
        }
        cursor[i] = '\0';
        assert_false(model_cursor_decode(USER_A, cursor, &us, id));
        cursor[i] = kept;
    }
    assert_true(model_cursor_decode(USER_A, cursor, &us, id));
    assert_false(model_cursor_decode(USER_A, "", &us, id));
    assert_false(model_cursor_decode(USER_A, "' OR 1=1 --", &us, id));
}

static Video__Video video_of(const char *extension, const char *audio_codec)
{
    Video__Video video = VIDEO__VIDEO__INIT;

    video.video_id = (char *)VIDEO;
    video.name = (char *)"clip";
    video.extension = (char *)extension;
    video.audio_codec = (char *)audio_codec;
    return video;
}

static void operations_are_checked_against_the_video(void **state)
{
    static const struct {
        const char *extension, *audio, *type, *format;
        int32_t width, height;
        int code;
        const char *field, *planned;
    } cases[] = {
        {"mp4", "aac", "resize", "", 640, 360, REEL_OK, NULL, "mp4"},
        {"webm", "opus", "resize", "", 640, 360, REEL_OK, NULL, "webm"},
        {"avi", "", "resize", "junk", 640, 360, REEL_OK, NULL, "mp4"},
        {"mp4", "", "resize", "", 641, 360, REEL_INVALID_ARGUMENT, "width", NULL},
        {"mp4", "", "resize", "", 640, 361, REEL_INVALID_ARGUMENT, "height", NULL},
        {"mp4", "", "resize", "", 0, 360, REEL_INVALID_ARGUMENT, "width", NULL},
        {"mp4", "", "resize", "", 640, 8194, REEL_INVALID_ARGUMENT, "height", NULL},
        {"mp4", "", "resize", "", -640, 360, REEL_INVALID_ARGUMENT, "width", NULL},
        {"mp4", "", "convert", "webm", 5, 5, REEL_OK, NULL, "webm"},
        {"mp4", "", "convert", "mp4", 0, 0, REEL_FAILED_PRECONDITION, "", NULL},
        {"mp4", "", "convert", "exe", 0, 0, REEL_INVALID_ARGUMENT, "targetFormat", NULL},
        {"mp4", "", "convert", "", 0, 0, REEL_INVALID_ARGUMENT, "targetFormat", NULL},
        {"mp4", "aac", "extract_audio", "", 7, 7, REEL_OK, NULL, "m4a"},
        {"mp4", "mp3", "extract_audio", "", 0, 0, REEL_OK, NULL, "mp3"},
        {"webm", "opus", "extract_audio", "", 0, 0, REEL_OK, NULL, "opus"},
        {"mkv", "pcm_s16le", "extract_audio", "", 0, 0, REEL_OK, NULL, "m4a"},
        {"mp4", "aac", "extract_audio", "wav", 0, 0, REEL_OK, NULL, "wav"},
        {"mp4", "aac", "extract_audio", "ogg", 0, 0, REEL_INVALID_ARGUMENT, "format", NULL},
        {"mp4", "", "extract_audio", "", 0, 0, REEL_FAILED_PRECONDITION, "", NULL},
        {"mp4", "aac", "explode", "", 0, 0, REEL_INVALID_ARGUMENT, "type", NULL},
    };

    (void)state;
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        Video__Video video = video_of(cases[i].extension, cases[i].audio);
        Job__OperationParams params = JOB__OPERATION_PARAMS__INIT;
        struct model_refusal refusal = {0};

        params.width = cases[i].width;
        params.height = cases[i].height;
        params.target_format = (char *)cases[i].format;
        assert_int_equal(model_operation_plan(&video, cases[i].type, &params, &refusal),
                         cases[i].code);
        if (cases[i].code != REEL_OK) {
            assert_string_equal(refusal.field, cases[i].field);
            assert_true(strlen(refusal.text) > 10);
            continue;
        }
        assert_string_equal(params.target_format, cases[i].planned);
        assert_string_equal(model_result_extension(cases[i].type, &params), cases[i].planned);
        if (strcmp(cases[i].type, "resize") != 0)
            assert_int_equal(params.width + params.height, 0);
    }
}

static Video__Operation operation_of(const char *id, const char *type, const char *status,
                                     Job__OperationParams *params)
{
    Video__Operation operation = VIDEO__OPERATION__INIT;

    operation.operation_id = (char *)id;
    operation.video_id = (char *)VIDEO;
    operation.type = (char *)type;
    operation.status = (char *)status;
    operation.params = params;
    return operation;
}

static void assets_are_picked(void **state)
{
    Job__OperationParams small = JOB__OPERATION_PARAMS__INIT;
    Job__OperationParams big = JOB__OPERATION_PARAMS__INIT;
    Job__OperationParams webm = JOB__OPERATION_PARAMS__INIT;
    Job__OperationParams mp3 = JOB__OPERATION_PARAMS__INIT;
    Job__OperationParams wav = JOB__OPERATION_PARAMS__INIT;
    Video__Video video = video_of("mp4", "aac");

    small.width = 320, small.height = 180, small.target_format = (char *)"mp4";
    big.width = 640, big.height = 360, big.target_format = (char *)"mp4";
    webm.target_format = (char *)"webm";
    mp3.target_format = (char *)"mp3";
    wav.target_format = (char *)"wav";

    Video__Operation all[] = {
        operation_of(OP("1"), "resize", "processing", &big),
        operation_of(OP("2"), "resize", "completed", &big),
        operation_of(OP("3"), "resize", "completed", &small),
        operation_of(OP("4"), "convert", "completed", &webm),
        operation_of(OP("5"), "extract_audio", "completed", &mp3),
        operation_of(OP("6"), "extract_audio", "completed", &wav),
        operation_of(OP("7"), "convert", "failed", &webm),
    };
    static const struct {
        const char *type, *dimensions, *format, *operation_id;
        int code;
        const char *key, *filename, *content_type;
        bool attachment;
    } cases[] = {
        {"", "", "", "", REEL_OK, VIDEO "/original", "clip.mp4", "video/mp4", true},
        {"original", "", "", "", REEL_OK, VIDEO "/original", "clip.mp4", "video/mp4", true},
        {"thumbnail", "", "", "", REEL_OK, VIDEO "/thumbnail.jpg", "clip-thumbnail.jpg",
         "image/jpeg", false},
        {"resize", "", "", "", REEL_OK, VIDEO "/" OP("2") ".mp4", "clip-640x360.mp4", "video/mp4",
         true},
        {"resize", "320x180", "", "", REEL_OK, VIDEO "/" OP("3") ".mp4", "clip-320x180.mp4",
         "video/mp4", true},
        {"resize", "1x1", "", "", REEL_NOT_FOUND, NULL, NULL, NULL, false},
        {"resize", "320", "", "", REEL_INVALID_ARGUMENT, NULL, NULL, NULL, false},
        {"resize", "320x180x2", "", "", REEL_INVALID_ARGUMENT, NULL, NULL, NULL, false},
        {"resize", "0x0", "", "", REEL_INVALID_ARGUMENT, NULL, NULL, NULL, false},
        {"resize", "-3x4", "", "", REEL_INVALID_ARGUMENT, NULL, NULL, NULL, false},
        {"resize", "99999999999x4", "", "", REEL_INVALID_ARGUMENT, NULL, NULL, NULL, false},
        {"converted", "", "webm", "", REEL_OK, VIDEO "/" OP("4") ".webm", "clip.webm", "video/webm",
         true},
        {"converted", "", "mkv", "", REEL_NOT_FOUND, NULL, NULL, NULL, false},
        {"audio", "", "", "", REEL_OK, VIDEO "/" OP("5") ".mp3", "clip-audio.mp3", "audio/mpeg",
         true},
        {"audio", "", "wav", "", REEL_OK, VIDEO "/" OP("6") ".wav", "clip-audio.wav", "audio/wav",
         true},
        {"", "", "", OP("3"), REEL_OK, VIDEO "/" OP("3") ".mp4", "clip-320x180.mp4", "video/mp4",
         true},
        {"", "", "", OP("1"), REEL_NOT_FOUND, NULL, NULL, NULL, false},
        {"", "", "", OP("7"), REEL_NOT_FOUND, NULL, NULL, NULL, false},
        {"", "", "", OP("9"), REEL_NOT_FOUND, NULL, NULL, NULL, false},
        {"", "", "", "../../etc/passwd", REEL_INVALID_ARGUMENT, NULL, NULL, NULL, false},
    };
    Video__Operation *list[REEL_ARRAY_SIZE(all)];

    for (size_t i = 0; i < REEL_ARRAY_SIZE(all); i++)
        list[i] = &all[i];
    for (size_t i = 0; i < REEL_ARRAY_SIZE(cases); i++) {
        Video__GetAssetRequest req = VIDEO__GET_ASSET_REQUEST__INIT;
        struct model_refusal refusal = {0};
        struct model_asset asset;

        req.type = (char *)cases[i].type;
        req.dimensions = (char *)cases[i].dimensions;
        req.format = (char *)cases[i].format;
        req.operation_id = (char *)cases[i].operation_id;
        assert_int_equal(
            model_asset_pick(*state, &video, &req, list, REEL_ARRAY_SIZE(list), &asset, &refusal),
            cases[i].code);
        if (cases[i].code == REEL_INVALID_ARGUMENT)
            assert_non_null(refusal.field);
        if (cases[i].code != REEL_OK)
            continue;
        assert_string_equal(asset.storage_key, cases[i].key);
        assert_string_equal(asset.filename, cases[i].filename);
        assert_string_equal(asset.content_type, cases[i].content_type);
        assert_int_equal(asset.attachment, cases[i].attachment);
    }
}

static void a_full_arena_is_an_outcome(void **state)
{
    Video__GetAssetRequest req = VIDEO__GET_ASSET_REQUEST__INIT;
    Video__Video video = video_of("mp4", "aac");
    struct model_refusal refusal;
    struct model_asset asset;
    struct reel_arena tiny;

    (void)state;
    reel_arena_init(&tiny, 8);
    assert_null(model_clean_name(&tiny, "a name longer than eight bytes"));
    assert_null(model_name_of_file(&tiny, "a name longer than eight bytes.mp4"));
    assert_int_equal(model_asset_pick(&tiny, &video, &req, NULL, 0, &asset, &refusal),
                     REEL_RESOURCE_EXHAUSTED);
    reel_arena_fini(&tiny);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_lose_what_cannot_be_seen, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_names_are_cut_between_characters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(file_names_become_names, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_result_format_has_a_content_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(job_states_map_to_statuses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_follows_completed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cursors_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(foreign_and_altered_cursors_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(operations_are_checked_against_the_video, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(assets_are_picked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_full_arena_is_an_outcome, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
