using Llama3Cluster.Kernels.Devices;
using Llama3Cluster.Kernels.Gpu;
using Llama3Cluster.Kernels.Gpu.Cuda;
using Llama3Cluster.Kernels.Gpu.Cuda.Graphs;
using Llama3Cluster.Kernels.Gpu.Memory;
using Llama3Cluster.Kernels.Gpu.Operations;
using Llama3Cluster.Kernels.Tests.Support;

namespace Llama3Cluster.Kernels.Tests.Gpu;

/// <summary>When steps are recorded, replayed and recorded anew; with a recorder that only takes notes.</summary>
public sealed class StepRecordingsTests
{
    /// <summary>The GPUs of this machine.</summary>
    public static TheoryData<string> Gpus => [.. GpuUnderTest.Contexts.Select(context => context.Info.Id)];

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void A_step_must_run_plainly_once_then_be_recorded_then_replayed(string gpu)
    {
        using var run = new Run(gpu);
        Assert.Equal(["plain", "record 1, launch 1", "launch 1", "launch 1"], run.Steps(4, rows: 2));
        Assert.Equal(["plain", "record 2, launch 2"], run.Steps(2, rows: 3));
        Assert.Equal(["launch 1"], run.Steps(1, rows: 2));
        Assert.Equal(["plain"], run.Steps(1, rows: 2, position: 500)); // a context of more spans
        Assert.Equal(["plain", "plain"], run.Steps(2, rows: 17)); // more rows than a decode kernel takes
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void A_prompt_must_not_be_recorded(string gpu)
    {
        using var run = new Run(gpu);
        Assert.Equal(["plain", "plain", "plain"], run.Steps(3, rows: 4, sequences: 2));
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Recordings_must_be_void_when_a_buffer_that_they_name_is_replaced(string gpu)
    {
        using var run = new Run(gpu);
        using var linear = new CudaLinear(new PortableLinear());
        linear.Reserve(run.Queue, 8, 256);
        Assert.Equal(["plain", "record 1, launch 1", "launch 1"], run.Steps(3, rows: 1));

        linear.Reserve(run.Queue, 4, 256); // fits what is there
        Assert.Equal(["launch 1"], run.Steps(1, rows: 1));

        linear.Reserve(run.Queue, 8, 4096);
        Assert.Equal(["destroy 1, plain", "record 2, launch 2", "launch 2"], run.Steps(3, rows: 1));
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Steps_must_run_plainly_where_recording_fails(string gpu)
    {
        using var run = new Run(gpu) { Fails = true };
        Assert.Equal(["plain", "record 0, plain", "plain", "plain"], run.Steps(4, rows: 1));
    }

    [GpuTheory]
    [MemberData(nameof(Gpus))]
    public void Old_recordings_must_make_room_for_new_ones(string gpu)
    {
        using var run = new Run(gpu);
        for (int rows = 1; rows <= 16; rows++)
        {
            for (int position = 16; position < 4096 && run.Recorded - run.Destroyed < StepRecordings.MostRecordings - 1; position *= 2)
                run.Steps(2, rows, position: position);
        }

        int before = run.Recorded;
        run.Steps(2, rows: 1, position: 100_000);
        run.Steps(2, rows: 2, position: 100_000);
        Assert.Equal(before + 2, run.Recorded);
        Assert.InRange(run.Recorded - run.Destroyed, 1, StepRecordings.MostRecordings);
    }

    private sealed class Run : IStepRecorder, IDisposable
    {
        private const int Rows = 32;

        private readonly GpuBatch _batch;
        private readonly StepRecordings _recordings;
        private readonly Action _step;
        private readonly List<string> _notes = [];
        private bool _recording;

        public Run(string gpu)
        {
            Queue = new GpuQueue(GpuUnderTest.Get(gpu));
            _batch = new GpuBatch(Queue, Rows, Rows, Rows * 8192);
            _recordings = new StepRecordings(this, Queue);
            _step = () =>
            {
                if (!_recording)
                    _notes.Add("plain");
            };
        }

        public GpuQueue Queue { get; }

        public bool Fails { get; init; }

        public int Recorded { get; private set; }

        public int Destroyed { get; private set; }

        public string[] Steps(int count, int rows, int? sequences = null, int position = 0)
        {
            int runs = sequences ?? rows;
            var ragged = new RaggedBatch(Rows, Rows, Rows * 8192);
            for (int i = 0; i < runs; i++)
                ragged.Add(position, new int[rows / runs], new int[((position + (rows / runs)) / KvShape.BlockSize) + 1]);
            var steps = new string[count];
            for (int i = 0; i < count; i++)
            {
                _notes.Clear();
                _batch.Load(ragged);
                if (!_recordings.TryRun(_batch, _step))
                    _step();
                steps[i] = string.Join(", ", _notes);
            }

            return steps;
        }

        bool IStepRecorder.TryBegin() => _recording = true;

        nint IStepRecorder.End()
        {
            _recording = false;
            nint recording = Fails ? 0 : ++Recorded;
            _notes.Add($"record {recording}");
            return recording;
        }

        void IStepRecorder.Launch(nint recording) => _notes.Add($"launch {recording}");

        void IStepRecorder.Destroy(nint recording)
        {
            Destroyed++;
            _notes.Add($"destroy {recording}");
        }

        public void Dispose()
        {
            _recordings.Dispose();
            _batch.Dispose();
            Queue.Dispose();
        }
    }
}
